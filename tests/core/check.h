/* What every cmocka program includes, in the order cmocka wants it. */
#ifndef TRANSHIP_TESTS_CHECK_H
#define TRANSHIP_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
