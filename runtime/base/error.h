/*
 * error.h - how code inside whorl gets at the names of errors: the public header, nothing more.
 */
#ifndef WHORL_BASE_ERROR_H
#define WHORL_BASE_ERROR_H

#include "whorl/error.h"

#endif
