/* See values.h. */
#include "values.h"

#include <limits.h>
#include <string.h>

bool refuse(const char *message)
{
    PyErr_SetString(PyExc_ValueError, message);
    return false;
}

bool read_int(PyObject *object, int *value, int status)
{
    int overflow;
    if (!PyLong_Check(object))
        return refuse(assign_message(status));
    long wide = PyLong_AsLongAndOverflow(object, &overflow);
    if (overflow != 0 || wide < INT_MIN || wide > INT_MAX)
        return refuse(assign_message(status));
    *value = (int)wide;
    return true;
}

bool read_mask(PyObject *object, uint64_t *mask, int status)
{
    if (!PyLong_Check(object))
        return refuse(assign_message(status));
    *mask = PyLong_AsUnsignedLongLong(object);
    if (!PyErr_Occurred())
        return true;
    PyErr_Clear(); /* OverflowError: negative, or more than 64 bits */
    return refuse(assign_message(status));
}

/* Read a car except for its cab calls, the last of the four. */
static bool read_car_state(PyObject *object, int *behaviour, int *floor, int *direction)
{
    if (!PyTuple_Check(object) || PyTuple_GET_SIZE(object) != 4)
        return refuse("a car must be a tuple (behaviour, floor, direction, cab)");
    return read_int(PyTuple_GET_ITEM(object, 0), behaviour, ASSIGN_BEHAVIOUR) &&
           read_int(PyTuple_GET_ITEM(object, 1), floor, ASSIGN_FLOOR) &&
           read_int(PyTuple_GET_ITEM(object, 2), direction, ASSIGN_DIRECTION);
}

bool read_car(PyObject *object, struct assign_car *car)
{
    return read_car_state(object, &car->behaviour, &car->floor, &car->direction) &&
           read_mask(PyTuple_GET_ITEM(object, 3), &car->cab, ASSIGN_CAB);
}

bool read_cars(PyObject *object, struct assign_car *cars, int *n)
{
    if (!PyList_Check(object) && !PyTuple_Check(object))
        return refuse("cars must be a list or a tuple");
    Py_ssize_t count = PySequence_Fast_GET_SIZE(object);
    if (count < 1 || count > ASSIGN_MAX_CARS)
        return refuse(assign_message(ASSIGN_CARS));
    *n = (int)count;
    for (int k = 0; k < *n; k++)
        if (!read_car(PySequence_Fast_GET_ITEM(object, k), &cars[k]))
            return false;
    return true;
}

static PyObject *build_share(const struct assign_share *share)
{
    PyObject *pair = PyTuple_New(2);
    PyObject *up = PyLong_FromUnsignedLongLong(share->up);
    PyObject *down = PyLong_FromUnsignedLongLong(share->down);
    if (pair == NULL || up == NULL || down == NULL) {
        Py_XDECREF(pair);
        Py_XDECREF(up);
        Py_XDECREF(down);
        return NULL;
    }
    PyTuple_SET_ITEM(pair, 0, up);
    PyTuple_SET_ITEM(pair, 1, down);
    return pair;
}

PyObject *build_shares(const struct assign_share *shares, int n)
{
    PyObject *rows = PyTuple_New(n);
    for (int k = 0; rows != NULL && k < n; k++) {
        PyObject *row = build_share(&shares[k]);
        if (row == NULL)
            Py_CLEAR(rows);
        else
            PyTuple_SET_ITEM(rows, k, row);
    }
    return rows;
}

bool read_large_mask(PyObject *object, struct assign_floors *calls, int status)
{
    if (!PyLong_Check(object))
        return refuse(assign_message(status));
    /* int.to_bytes itself, so that no code of a subclass runs */
    PyObject *bytes = PyObject_CallMethod((PyObject *)&PyLong_Type, "to_bytes", "Ois", object, (int)sizeof *calls,
                                          "little");
    if (bytes == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError))
            return false;
        PyErr_Clear(); /* negative, or too many bits */
        return refuse(assign_message(status));
    }
    const unsigned char *text = (const unsigned char *)PyBytes_AS_STRING(bytes);
    memset(calls, 0, sizeof *calls);
    for (size_t i = 0; i < sizeof *calls; i++)
        calls->words[i / 8] |= (uint64_t)text[i] << i % 8 * 8;
    Py_DECREF(bytes);
    return true;
}

bool read_large_car(PyObject *object, struct assign_large_car *car)
{
    return read_car_state(object, &car->behaviour, &car->floor, &car->direction) &&
           read_large_mask(PyTuple_GET_ITEM(object, 3), &car->cab, ASSIGN_CAB);
}

static PyObject *build_large_mask(const struct assign_floors *calls)
{
    char text[sizeof *calls];
    for (size_t i = 0; i < sizeof *calls; i++)
        text[i] = (char)(calls->words[i / 8] >> i % 8 * 8 & 255);
    return PyObject_CallMethod((PyObject *)&PyLong_Type, "from_bytes", "y#s", text, (Py_ssize_t)sizeof text, "little");
}

PyObject *build_large_shares(const struct assign_large_share *shares, int n)
{
    PyObject *rows = PyTuple_New(n);
    for (int k = 0; rows != NULL && k < n; k++) {
        PyObject *up = build_large_mask(&shares[k].up), *down = build_large_mask(&shares[k].down);
        PyObject *row = up == NULL || down == NULL ? NULL : PyTuple_Pack(2, up, down);
        Py_XDECREF(up);
        Py_XDECREF(down);
        if (row == NULL)
            Py_CLEAR(rows);
        else
            PyTuple_SET_ITEM(rows, k, row);
    }
    return rows;
}

bool read_shares(PyObject *object, int n, struct assign_share *shares)
{
    if (!PyTuple_Check(object) || PyTuple_GET_SIZE(object) != n)
        return refuse("claims and shares must have a pair (up, down) for each car, waited one for each age");
    for (int k = 0; k < n; k++) {
        PyObject *pair = PyTuple_GET_ITEM(object, k);
        if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2)
            return refuse("claims and shares must have a pair (up, down) for each car, waited one for each age");
        if (!read_mask(PyTuple_GET_ITEM(pair, 0), &shares[k].up, ASSIGN_HALL) ||
            !read_mask(PyTuple_GET_ITEM(pair, 1), &shares[k].down, ASSIGN_HALL))
            return false;
    }
    return true;
}

bool read_rates(PyObject *object, int floors, int *rates)
{
    if (!PyTuple_Check(object))
        return refuse(assign_message(ASSIGN_RATE));
    Py_ssize_t count = PyTuple_GET_SIZE(object);
    memset(rates, 0, ASSIGN_MAX_FLOORS * sizeof *rates);
    if (count != 0 && (count != floors || count > ASSIGN_MAX_FLOORS))
        return refuse(assign_message(ASSIGN_RATE));
    for (int f = 0; f < (int)count; f++)
        if (!read_int(PyTuple_GET_ITEM(object, f), &rates[f], ASSIGN_RATE))
            return false;
    return true;
}

PyObject *build_ints(const int *values, int n)
{
    PyObject *row = PyTuple_New(n);
    for (int k = 0; row != NULL && k < n; k++) {
        PyObject *value = PyLong_FromLong(values[k]);
        if (value == NULL)
            Py_CLEAR(row);
        else
            PyTuple_SET_ITEM(row, k, value);
    }
    return row;
}
