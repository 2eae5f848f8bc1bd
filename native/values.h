/* Conversion between Python objects and the integers of the assigners.
 *
 * If an object is invalid, a read_ function sets a ValueError and returns false. If the function has a parameter
 * *status*, the message is that of *status*. If memory runs out, a build_ function sets an exception and returns NULL.
 *
 * Integers are read from int objects only (bool and IntEnum are ints, too), never through __index__. So no Python code
 * runs while the cars are read, and nothing can change them.
 */
#ifndef ELEVATOR_VALUES_H
#define ELEVATOR_VALUES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "assign.h"
#include "assign_large.h"

/* Set a ValueError with *message* and return false, so that a caller can return the result. */
bool refuse(const char *message);

bool read_int(PyObject *object, int *value, int status);
bool read_mask(PyObject *object, uint64_t *mask, int status);
bool read_large_mask(PyObject *object, struct assign_floors *calls, int status);

/* Read a tuple (behaviour, floor, direction, cab). */
bool read_car(PyObject *object, struct assign_car *car);
bool read_large_car(PyObject *object, struct assign_large_car *car);

/* Read a list or tuple of 1 to ASSIGN_MAX_CARS cars. */
bool read_cars(PyObject *object, struct assign_car *cars, int *n);

/* Read a tuple of *n* tuples (up, down). */
bool read_shares(PyObject *object, int n, struct assign_share *shares);

/* Read the rates of all floors. An empty tuple means that all are 0. */
bool read_rates(PyObject *object, int floors, int *rates);

PyObject *build_shares(const struct assign_share *shares, int n);
PyObject *build_large_shares(const struct assign_large_share *shares, int n);

/* Build a tuple of ints. */
PyObject *build_ints(const int *values, int n);

#endif
