/* admin: what the admin socket answers: a row of a table for each method and path. The keeper's. */
#ifndef ROLE_ADMIN_H
#define ROLE_ADMIN_H

#include "worker/request/request.h"

enum verdict admin_answer(struct request *request);

#endif
