/* eject: takes an endpoint out for a while for what came of the calls to it, on the whole node at once.
 *
 * All of it is one word of the endpoint's cell, changed by compare-and-swap. The bound on how many may be out is exact:
 * who wants to eject marks the word first, then counts the others that are out or marked, and ejects or takes the mark
 * back; of two at the same time at least one sees the other. A mark has a deadline and no owner: who finds it late
 * takes it away, and the swap of who set it fails then.
 */
#ifndef UPSTREAM_EJECT_H
#define UPSTREAM_EJECT_H

#include "worker/upstream/cluster.h"

/* What came of a try. The upstream has `ejection`. */
void eject_observe(struct endpoint *endpoint, const struct observation *observation);

/* Takes it out, if so many may be out; `format`: why, for the log. True: it is out now, by this call. */
bool eject(struct endpoint *endpoint, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says once a node that it is back, when its time is over. Keeper. */
void eject_tell_return(struct endpoint *endpoint);

/* How often it was ejected lately: what the next time grows with. */
unsigned eject_times(const struct endpoint_cell *cell);

#endif
