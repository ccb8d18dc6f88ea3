/* hedge: a second try of a call while the first lets wait longer than most: at another endpoint where there is one. The
 * head that comes first wins, the other try is cut and counts for nothing. Only for what does no harm when done twice and
 * is whole in memory; it costs the budget of retries as one.
 *
 * The second try is a struct call of its own, below the first, with the same owner.
 */
#ifndef UPSTREAM_HEDGE_H
#define UPSTREAM_HEDGE_H

#include "worker/upstream/call.h"

/* The request is with the endpoint: from now on it is waited for. */
void hedge_arm(struct call *call);

/* A head came on `call`, the first or the second try: the other is cut. */
void hedge_won(struct call *call);

#endif
