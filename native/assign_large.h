/* The reference assigner for buildings that are larger than those of nodes. Conventions as in assign.h. */
#ifndef ELEVATOR_ASSIGN_LARGE_H
#define ELEVATOR_ASSIGN_LARGE_H

#include "assign.h"

#define ASSIGN_LARGE_MAX_FLOORS 1024
#define ASSIGN_LARGE_WORDS (ASSIGN_LARGE_MAX_FLOORS / 64) /* of 64 floors */
#define ASSIGN_LARGE_MAX_CARS 500 /* with more, clocks can be equal; see assign_rules.h */

/* A set of floors: bit f % 64 of word f / 64 stands for floor f. */
struct assign_floors {
    uint64_t words[ASSIGN_LARGE_WORDS];
};

struct assign_large_car {
    int behaviour, floor, direction;
    struct assign_floors cab;
};

struct assign_large_share {
    struct assign_floors up, down;
};

/* Do what assign_reference does. The simulation allocates 200 kB. If that fails, the status is ASSIGN_MEMORY. */
int assign_large(const struct assign_params *params, const struct assign_floors *up, const struct assign_floors *down,
                 const struct assign_large_car *cars, int n, struct assign_large_share *out);

#endif
