/* The assigners of hall calls. They take and return plain integers and do not depend on Python.
 *
 * Floors count from 0. A set of floors is a bit mask: bit f stands for floor f. The caller owns all memory. It passes
 * the cars in ascending order of their ids. This order breaks ties, so all nodes must use the same one. Node ids are
 * numbers. In `elevator assign`, ids are strings, which are compared byte by byte.
 */
#ifndef ELEVATOR_ASSIGN_H
#define ELEVATOR_ASSIGN_H

#include <stdbool.h>
#include <stdint.h>

#define ASSIGN_MAX_FLOORS 64
#define ASSIGN_MAX_CARS 64
#define ASSIGN_MAX_MOVES 4194304 /* the most moves in one simulation; see assign_rules.h */

/* The nominal durations. The course's program has the same defaults. All nodes plan with them, however fast their own
 * cars are. With different durations, nodes would disagree. */
#define ASSIGN_TRAVEL_MS 2500 /* from one floor to the next */
#define ASSIGN_DOOR_MS 3000   /* the dwell time */

enum { DOWN = -1, STOP = 0, UP = 1 };

enum assign_behaviour { ASSIGN_IDLE = 0, ASSIGN_MOVING = 1, ASSIGN_DOOR_OPEN = 2 };

/* Why an input is refused: one code for each broken precondition. */
enum assign_status {
    ASSIGN_OK = 0,
    ASSIGN_FLOORS,    /* floors not in 1..ASSIGN_MAX_FLOORS */
    ASSIGN_DURATION,  /* a duration does not fit int */
    ASSIGN_DOOR,      /* door_ms not in 0..PLAN_MAX_MS */
    ASSIGN_TRAVEL,    /* travel_ms not in 0..PLAN_MAX_MS */
    ASSIGN_HALL,      /* a hall call at a floor that does not exist */
    ASSIGN_CARS,      /* n not in 1..ASSIGN_MAX_CARS */
    ASSIGN_BEHAVIOUR, /* not an assign_behaviour */
    ASSIGN_FLOOR,     /* a car at a floor that does not exist */
    ASSIGN_DIRECTION, /* not -1, 0 or 1 */
    ASSIGN_LEAVING,   /* a car moving past an end floor */
    ASSIGN_CAB,       /* a cab call at a floor that does not exist */
    ASSIGN_RATE,      /* a rate not in 0..PLAN_MAX_RATE */
    ASSIGN_ENDLESS,   /* more than ASSIGN_MAX_MOVES moves; in assign_reference, only with an empty id */
    /* The following are from assign_large.h. */
    ASSIGN_LARGE_FLOORS, /* floors not in 1..ASSIGN_LARGE_MAX_FLOORS */
    ASSIGN_LARGE_CARS,   /* n not in 1..ASSIGN_LARGE_MAX_CARS */
    ASSIGN_MEMORY,       /* no memory for the simulation */
    ASSIGN_STATUSES,
};

struct assign_params {
    int floors;
    int door_ms;       /* the dwell time */
    int travel_ms;     /* from one floor to the next */
    bool clear_all;    /* a stop serves both directions, not only the announced one */
    bool has_empty_id; /* the first car's id is empty, so it never owns a call; see assign_rules.h */
};

struct assign_car {
    int behaviour; /* enum assign_behaviour */
    int floor;     /* the last floor reached */
    int direction; /* -1 down, 0 stop, 1 up; every combination with a behaviour is valid */
    uint64_t cab;
};

/* The hall calls of one car. */
struct assign_share {
    uint64_t up;
    uint64_t down;
};

/* Check a car or a whole input. Return an enum assign_status. Every duration is valid. */
int assign_check_car(int behaviour, int floor, int direction, int floors);
int assign_check(const struct assign_params *params, uint64_t hall, const struct assign_car *cars, int n);

/* Assign the hall calls *up* and *down* as the course's hall_request_assigner does. *out* has room for *n* shares, in
 * the order of *cars*. ASSIGN_OK (0) means that every call is in exactly one share. Any other enum assign_status names
 * a fault in the input; *out* is then meaningless. */
int assign_reference(const struct assign_params *params, uint64_t up, uint64_t down, const struct assign_car *cars,
                     int n, struct assign_share *out);

/* The text of a macro's value. */
#define ASSIGN_TEXT(macro) ASSIGN_QUOTE(macro)
#define ASSIGN_QUOTE(value) #value

/* One line of English for an enum assign_status. */
const char *assign_message(int status);

#endif
