/* outlier: looks once a second for endpoints that are worse than the others of their upstream, and ejects them; and says
 * which ones are back. The keeper's: one process of the node does it.
 */
#ifndef UPSTREAM_OUTLIER_H
#define UPSTREAM_OUTLIER_H

#include "worker/upstream/cluster.h"

struct outliers {
    struct worker *worker;
    struct timer timer;
    struct outlier_sample *samples; /* room for the largest cluster */
};

/* Begins, if an upstream has `ejection`. Memory is the worker's for its life. */
void outliers_start(struct outliers *outliers, struct worker *worker, struct arena *arena);

/* One look at a cluster with `ejection`. */
void outliers_look(struct outliers *outliers, struct cluster *cluster);

#endif
