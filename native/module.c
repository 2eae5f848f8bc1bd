/* elevator._assign: the assigners of assign.h as Python functions. The only file that knows of Python.
 *
 * - A value that an assigner cannot work with is a ValueError of one line, whatever is wrong with it. Only a call that
 *   does not fit the signature is a TypeError.
 * - Integers are taken from int objects alone (bool and IntEnum are ints, too), never through __index__: while the
 *   cars are read no Python code runs that could change them.
 * - The checks are assign.c's. Here only what plain C integers cannot hold is refused, in the same words; an integer
 *   beyond int is cut to int's end, which is out of every range allowed.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <limits.h>

#include "assign.h"

/* What all assigners are given. */
struct input {
    struct assign_params params;
    uint64_t up, down;
    struct assign_car cars[ASSIGN_MAX_CARS];
    int n;
};

/* Raise ValueError; false, so that a failed check is one return. */
static bool refuse(const char *message)
{
    PyErr_SetString(PyExc_ValueError, message);
    return false;
}

static bool read_int(PyObject *object, int *value, int status)
{
    int overflow;
    if (!PyLong_Check(object))
        return refuse(assign_message(status));
    long wide = PyLong_AsLongAndOverflow(object, &overflow);
    *value = overflow < 0 || wide < INT_MIN ? INT_MIN : overflow > 0 || wide > INT_MAX ? INT_MAX : (int)wide;
    return true;
}

static bool read_mask(PyObject *object, uint64_t *mask, int status)
{
    if (!PyLong_Check(object))
        return refuse(assign_message(status));
    *mask = PyLong_AsUnsignedLongLong(object);
    if (!PyErr_Occurred())
        return true;
    PyErr_Clear(); /* OverflowError: negative, or more than 64 bits */
    return refuse(assign_message(status));
}

static bool read_car(PyObject *object, struct assign_car *car)
{
    if (!PyTuple_Check(object) || PyTuple_GET_SIZE(object) != 4)
        return refuse("a car must be a tuple (behaviour, floor, direction, cab)");
    return read_int(PyTuple_GET_ITEM(object, 0), &car->behaviour, ASSIGN_BEHAVIOUR) &&
           read_int(PyTuple_GET_ITEM(object, 1), &car->floor, ASSIGN_FLOOR) &&
           read_int(PyTuple_GET_ITEM(object, 2), &car->direction, ASSIGN_DIRECTION) &&
           read_mask(PyTuple_GET_ITEM(object, 3), &car->cab, ASSIGN_CAB);
}

static bool read_cars(PyObject *object, struct input *input)
{
    if (!PyList_Check(object) && !PyTuple_Check(object))
        return refuse("cars must be a list or a tuple");
    Py_ssize_t n = PySequence_Fast_GET_SIZE(object);
    if (n < 1 || n > ASSIGN_MAX_CARS)
        return refuse(assign_message(ASSIGN_CARS));
    input->n = (int)n;
    for (int k = 0; k < input->n; k++)
        if (!read_car(PySequence_Fast_GET_ITEM(object, k), &input->cars[k]))
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

static PyObject *build_shares(const struct assign_share *shares, int n)
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

PyDoc_STRVAR(reference_doc,
             "reference($module, /, floors, up, down, cars, door_ms=3000, travel_ms=2500, clear_all=False)\n--\n\n"
             "Share out hall calls as the course's hall_request_assigner does: one (up, down) for each car.");

static PyObject *reference(PyObject *module, PyObject *args, PyObject *keywords)
{
    (void)module;
    static char *names[] = {"floors", "up", "down", "cars", "door_ms", "travel_ms", "clear_all", NULL};
    PyObject *floors, *up, *down, *cars, *door_ms = NULL, *travel_ms = NULL;
    int clear_all = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OOOO|OOp:reference", names, &floors, &up, &down, &cars, &door_ms,
                                     &travel_ms, &clear_all))
        return NULL;
    struct input input;
    input.params = (struct assign_params){.door_ms = 3000, .travel_ms = 2500, .clear_all = clear_all != 0};
    if (!read_int(floors, &input.params.floors, ASSIGN_FLOORS) || !read_mask(up, &input.up, ASSIGN_HALL) ||
        !read_mask(down, &input.down, ASSIGN_HALL) || !read_cars(cars, &input) ||
        (door_ms != NULL && !read_int(door_ms, &input.params.door_ms, ASSIGN_DOOR)) ||
        (travel_ms != NULL && !read_int(travel_ms, &input.params.travel_ms, ASSIGN_TRAVEL)))
        return NULL;
    struct assign_share shares[ASSIGN_MAX_CARS];
    int status = assign_reference(&input.params, input.up, input.down, input.cars, input.n, shares);
    if (status != ASSIGN_OK) {
        refuse(assign_message(status));
        return NULL;
    }
    return build_shares(shares, input.n);
}

static PyMethodDef functions[] = {
    {"reference", (PyCFunction)(void (*)(void))reference, METH_VARARGS | METH_KEYWORDS, reference_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "elevator._assign",
    .m_doc = "Who takes which hall call: the assigners, in C.",
    .m_size = 0,
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__assign(void);

PyMODINIT_FUNC PyInit__assign(void)
{
    return PyModuleDef_Init(&definition);
}
