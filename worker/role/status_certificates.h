/* status_certificates: whom the listeners are, and until when. */
#ifndef ROLE_STATUS_CERTIFICATES_H
#define ROLE_STATUS_CERTIFICATES_H

#include <jansson.h>

#include "worker/request/worker.h"

/* An object for each certificate, in the order of the configuration. */
json_t *status_certificates(const struct worker *worker);

#endif
