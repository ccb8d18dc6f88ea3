/* status: what the admin socket tells of the gateway, from the shared segment and the generation. */
#ifndef ROLE_STATUS_H
#define ROLE_STATUS_H

#include "worker/request/request.h"

/* Content of the admin socket: GET /status. */
enum verdict status_get(struct request *request);

#endif
