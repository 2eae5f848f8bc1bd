/* A simulated group of cars with passengers, for `elevator bench`. It uses the rules of motion.h, the assigners of
 * assign.h and plan.h, and nothing else of the real program. Conventions as in assign.h.
 *
 * A car decides whether to stop at a floor just before it has to brake for it. Passengers press when they come, or when
 * the door closes if a full car stands there. They enter only a car that announces their direction, one after another,
 * after those who leave. The last to enter leave first. The door stays open for a dwell time after it opens or a
 * passenger passes it. Presses can prolong a stop until *door_extension_ms* after the door opened.
 */
#ifndef ELEVATOR_BENCH_H
#define ELEVATOR_BENCH_H

#include "plan.h"

enum bench_assigner { BENCH_REFERENCE, BENCH_PLAN, BENCH_ETA, BENCH_NEAREST, BENCH_LQF, BENCH_ASSIGNERS };
enum bench_park { BENCH_PARK_NONE, BENCH_PARK_SPREAD, BENCH_PARK_SPARING, BENCH_PARK_LOBBY, BENCH_PARKS };

/* The parameters with which a car learns the traffic, as in elevator/core/traffic.py. */
struct bench_learning {
    int people_max; /* counts are halved above this many people */
    int prior_ms;   /* added to the counting time, without passengers */
    int rate_max;   /* the sum over all cars must not exceed PLAN_MAX_RATE */
};

/* How long a car takes for each movement, in ms: 0 to PLAN_MAX_MS, but at least 1 for *pass_ms* and *start_ms*. */
struct bench_times {
    int pass_ms;  /* from one floor to the next without stopping */
    int start_ms; /* from standing at a floor to the point where it decides about the next floor */
    int brake_ms; /* from that point to standing at the floor */
    int turn_ms;  /* added to start_ms if it last travelled in the other direction */
    int open_ms, dwell_ms; /* of the door */
    int stop_ms;  /* what the assigners believe that a stop costs */
};

struct bench_config {
    int cars, floors;      /* 1..ASSIGN_MAX_CARS, 2..ASSIGN_MAX_FLOORS */
    int assigner;          /* enum bench_assigner */
    int park;              /* enum bench_park */
    int park_after_ms;     /* how long a car is idle before it parks */
    int door_extension_ms; /* presses may prolong a stop until this long after the door opened */
    int ages_every_ms, unclaimed_ms, starved_ms; /* as in elevator/core/assignment.py */
    int capacity;          /* people in a car; 0: no limit */
    int loss;              /* percent of broadcasts lost on each link; -1: one shared view */
    uint64_t seed;         /* of the losses */
    struct bench_learning learning;
    struct bench_times times;
};

/* One passenger, who needs *enter_ms* and *leave_ms* to pass the door. Trips are in ascending order of *at_ms*; *from*
 * and *to* are different floors. */
struct bench_trip {
    int64_t at_ms, from, to, enter_ms, leave_ms;
};

struct bench_counts {
    int64_t floors_moved, reassigned;
    int64_t starts; /* of a motor, including each reversal */
    int64_t turns; /* of cars that turned or stopped on their way because the assignment had changed */
    int64_t decisions, decision_ns, decision_ns_most;
    int64_t samples, unclaimed, claimed_twice; /* counts of lit calls at each broadcast; 0 with one shared view */
};

/* Simulate until all *count* passengers have left their cars. For each passenger, write the time from arrival to
 * having entered a car into *waits_ms*, and the time from arrival to having left it into *journeys_ms*. Return false if
 * memory runs out, or if a passenger has not left a car ten hours after the last one came. */
bool bench_run(const struct bench_config *config, const struct bench_trip *trips, int count, int64_t *waits_ms,
               int64_t *journeys_ms, struct bench_counts *counts);

/* The passengers that one car has counted, by the rules of elevator/core/traffic.py. */
struct bench_learned {
    int64_t people[2][ASSIGN_MAX_FLOORS]; /* in sixteenths of a person; down and up */
    int64_t since_ms;
};

void bench_learn(struct bench_learned *learned, const struct bench_learning *learning, int floors, int floor,
                 int direction, int64_t age_ms, int rate, int64_t now_ms);
void bench_learned_rates(const struct bench_learned *learned, const struct bench_learning *learning, int floors,
                         int64_t now_ms, struct plan_rates *rates);

#endif
