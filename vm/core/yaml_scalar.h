/* What a plain scalar of YAML means (yaml.c). */
#ifndef TRANSHIP_YAML_SCALAR_H
#define TRANSHIP_YAML_SCALAR_H

#include "json.h"

/* YAML 1.1, as kubectl has it: 0644 is octal, `yes` is true. NULL for what has
 * no JSON form (.inf, .nan) or no UTF-8. `as_text`: only null is special. */
json_t *tsh_yaml__scalar(const char *text, size_t length, bool as_text);

#endif
