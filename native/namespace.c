/* elevator._namespace: unshare(2) and setns(2), which Python has only since version 3.12. */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <sched.h>

static PyObject *none_or_error(int result)
{
    if (result != 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(unshare_doc, "unshare($module, flags, /)\n--\n\n"
                          "Move this thread to new namespaces. Raise OSError on failure.");

static PyObject *call_unshare(PyObject *module, PyObject *args)
{
    (void)module;
    int flags;
    if (!PyArg_ParseTuple(args, "i:unshare", &flags))
        return NULL;
    return none_or_error(unshare(flags));
}

PyDoc_STRVAR(setns_doc, "setns($module, fd, flags, /)\n--\n\n"
                        "Move this thread to the namespace fd. Raise OSError on failure.");

static PyObject *call_setns(PyObject *module, PyObject *args)
{
    (void)module;
    int fd, flags;
    if (!PyArg_ParseTuple(args, "ii:setns", &fd, &flags))
        return NULL;
    return none_or_error(setns(fd, flags));
}

static PyMethodDef functions[] = {
    {"unshare", call_unshare, METH_VARARGS, unshare_doc},
    {"setns", call_setns, METH_VARARGS, setns_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "elevator._namespace",
    .m_doc = "System calls for namespaces, in C.",
    .m_size = 0,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__namespace(void);

PyMODINIT_FUNC PyInit__namespace(void)
{
    return PyModuleDef_Init(&definition);
}
