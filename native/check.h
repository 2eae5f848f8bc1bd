/* Shared by check.c and check_random.c: an input of an assigner, and how a check fails. */
#ifndef ELEVATOR_CHECK_H
#define ELEVATOR_CHECK_H

#include "assign.h"

/* One input, and room for the answer. The arrays are as short as possible, so the sanitizers see every overrun. */
struct check_input {
    struct assign_params params;
    uint64_t up, down;
    int n;
    struct assign_car *cars;
    struct assign_share *out;
};

/* Print what is wrong with input *number* (0: no particular input). Exit with *status*. */
void check_fail(int status, const char *what, long number);

void check_allocate(struct check_input *input, int n);
void check_release(struct check_input *input);

/* Run the reference on *input*. Return an enum assign_status. */
int check_run_reference(struct check_input *input);

/* Each function runs *count* pseudo-random inputs and returns how many the assigner accepted. check_large counts only
 * large buildings. */
long check_random(long count, uint64_t seed);
long check_large(long count, uint64_t seed);
long check_plan(long count, uint64_t seed);

#endif
