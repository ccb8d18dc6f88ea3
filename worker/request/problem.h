/* problem: the gateway's own error answers, RFC 9457. */
#ifndef REQUEST_PROBLEM_H
#define REQUEST_PROBLEM_H

#include "shared/base/str.h"

enum problem {
    PROBLEM_NONE,
#define PROBLEM(id, status, type, title) PROBLEM_##id,
#include "worker/request/problems.def"
#undef PROBLEM
    PROBLEM_COUNT
};

struct problem_row {
    unsigned status;
    struct str type;
    struct str title;
};

extern const struct problem_row problem_rows[PROBLEM_COUNT];

/* The problem for a status that the HTTP layer gave. */
enum problem problem_of_status(unsigned status);

struct request;

/* Makes request->response and its body from request->problem. */
void problem_render(struct request *request);

#endif
