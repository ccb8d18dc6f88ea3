/* bind: finds the cells of shared memory that a generation wants, by their names. */
#ifndef MASTER_BIND_H
#define MASTER_BIND_H

struct errors;
struct generation;
struct master;

/* Fills generation->cells; what has a cell keeps it. An error says which setting is too small. */
void bind_cells(struct master *master, struct generation *generation, struct errors *errors);

#endif
