/* json: answers of the admin socket. */
#ifndef ROLE_JSON_H
#define ROLE_JSON_H

#include <jansson.h>

#include "worker/request/request.h"

/* 200 with the value, which is released. */
enum verdict json_answer(struct request *request, json_t *value);

#endif
