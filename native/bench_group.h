/* Private to the dispatch benchmark: the simulated group. See bench.h. */
#ifndef ELEVATOR_BENCH_GROUP_H
#define ELEVATOR_BENCH_GROUP_H

#include "bench.h"
#include "motion.h"

#define BENCH_NEVER INT64_MAX

enum { BENCH_NOBODY = -1 };

struct bench_car {
    int floor, direction;
    int heading; /* the direction in which it last travelled */
    int behaviour; /* as published; an arriving car is idle until it decides */
    bool is_arriving;
    int64_t next_at_ms; /* when it decides about the next floor, or when its door closes */
    int64_t opened_at_ms, idle_at_ms; /* when its door last opened, and when it last became idle */
    int64_t still_at_ms; /* when it comes to a standstill after braking */
    int64_t clear_at_ms; /* when the last passenger is through the door */
    bool announced;
    uint64_t cab;
    struct assign_share share;
    uint64_t full[2]; /* the floor of the stop, as a mask, if passengers found no room; down and up */
    struct plan_waited waited; /* the lit calls that had waited long at *waited_at_ms* */
    int64_t waited_at_ms;      /* when its node last checked which calls have waited long */
    int target;       /* the floor where the car should park, or -1 */
    int load;
    int riders[ASSIGN_MAX_FLOORS]; /* the first passenger to each floor; bench_passenger links the others */
    struct bench_learned learned;
};

/* What a node knows. Index 0 of an array of two is down, 1 is up. */
struct bench_view {
    struct assign_car cars[ASSIGN_MAX_CARS];
    bool announced[ASSIGN_MAX_CARS];
    struct assign_share claims[ASSIGN_MAX_CARS];
    struct plan_rates learned[ASSIGN_MAX_CARS];
    struct plan_rates rates; /* the sum of *learned* over all cars */
    int64_t pressed[2][ASSIGN_MAX_FLOORS], served[2][ASSIGN_MAX_FLOORS];
    int64_t since_ms[2][ASSIGN_MAX_FLOORS]; /* when the call was lit, as far as the node knows */
    int64_t unclaimed_since_ms[2][ASSIGN_MAX_FLOORS]; /* BENCH_NEVER if a car claims the call */
    uint64_t starved[2];
    struct plan_waited waited[ASSIGN_MAX_CARS]; /* as each car has published it */
    uint64_t hall[2]; /* the lit calls */
};

struct bench_passenger {
    int next; /* the next passenger in the queue at a floor, or among the riders to a floor */
};

struct bench_group {
    const struct bench_config *config;
    const struct bench_trip *trips;
    int64_t *waits_ms, *journeys_ms;
    struct bench_counts *counts;
    struct bench_passenger *passengers;
    struct bench_view *views;
    int view_count;
    struct assign_params params;
    struct bench_car cars[ASSIGN_MAX_CARS];
    int queue[2][ASSIGN_MAX_FLOORS]; /* the first passenger; bench_passenger links the others */
    int owner[2][ASSIGN_MAX_FLOORS]; /* the car to which the call was last assigned, or BENCH_NOBODY */
    int64_t now_ms, presses, broadcast_at_ms;
    int64_t due_at_ms; /* when a decision can change without an event */
    uint64_t random;
    int waiting, riding;
};

static inline struct bench_view *bench_view_of(struct bench_group *g, int car)
{
    return &g->views[g->view_count == 1 ? 0 : car];
}

static inline void bench_note_due(struct bench_group *g, int64_t at_ms)
{
    if (at_ms > g->now_ms && at_ms < g->due_at_ms)
        g->due_at_ms = at_ms;
}

/* Press a hall button of the node that has *view*. This has no effect if the call is lit. */
void bench_press(struct bench_group *g, struct bench_view *view, int way, int floor);

/* Update whether a call is lit. If that changes, note when. */
void bench_update_lamp(const struct bench_group *g, struct bench_view *view, int way, int floor);

/* Assign the calls of *view* to its cars *first* to *last*, and choose where they wait. */
void bench_assign(struct bench_group *g, struct bench_view *view, int first, int last);

/* Assign the calls *up* and *down* to the *n* cars of *view* by the rules of bench_rules.c. *shares* must be empty. */
void bench_assign_eta(const struct assign_params *params, const struct bench_view *view, int n, uint64_t up,
                      uint64_t down, struct assign_share *shares);
void bench_assign_lqf(const struct bench_view *view, int n, uint64_t up, uint64_t down, struct assign_share *shares);
void bench_assign_nearest(const struct bench_view *view, int n, int floors, uint64_t up, uint64_t down,
                          struct assign_share *shares);

/* Let car *k* take its next action, by the rules of elevator/core/act.py. */
void bench_act(struct bench_group *g, int k);

#endif
