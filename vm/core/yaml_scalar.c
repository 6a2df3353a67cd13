/* Plain scalars of YAML 1.1. */
#include "yaml_scalar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_NUMBER = 64 };

static bool is_one_of(const char *text, const char *const words[]) {
  for (; *words != NULL; words++)
    if (strcmp(text, *words) == 0)
      return true;
  return false;
}

/* Digits without their underscores; false for what is no number's text. */
static bool clean(const char *text, size_t length, char *out) {
  size_t used = 0;

  if (length == 0 || length >= LONGEST_NUMBER)
    return false;
  for (size_t i = 0; i < length; i++)
    if (text[i] != '_')
      out[used++] = text[i];
  out[used] = '\0';
  return used > 0;
}

static json_t *integer(const char *digits) {
  const char *at = digits + (*digits == '-' || *digits == '+');
  int base = 10, skip = 0;
  char *end, number[LONGEST_NUMBER];
  long long value;

  if (strncmp(at, "0x", 2) == 0)
    base = 16, skip = 2;
  else if (strncmp(at, "0o", 2) == 0)
    base = 8, skip = 2;
  else if (strncmp(at, "0b", 2) == 0)
    base = 2, skip = 2;
  else if (at[0] == '0' && at[1] != '\0')
    base = 8, skip = 1;
  if (strspn(at + skip, "0123456789abcdefABCDEF") != strlen(at + skip) ||
      at[skip] == '\0')
    return NULL;
  number[0] = *digits == '-' ? '-' : '+';
  memcpy(number + 1, at + skip, strlen(at + skip) + 1);
  errno = 0;
  value = strtoll(number, &end, base);
  return errno == 0 && *end == '\0' ? json_integer(value) : NULL;
}

static json_t *real(const char *digits) {
  char *end;
  double value;

  if (strspn(digits, "+-.0123456789eE") != strlen(digits) ||
      strpbrk(digits, "0123456789") == NULL)
    return NULL;
  value = strtod(digits, &end);
  return *end == '\0' ? json_real(value) : NULL;
}

json_t *tsh_yaml__scalar(const char *text, size_t length, bool as_text) {
  static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
  static const char *const yes[] = {"true", "True", "TRUE", "yes", "Yes", "YES",
                                    "y",    "Y",    "on",   "On",  "ON",  NULL};
  static const char *const no[] = {"false", "False", "FALSE", "no",
                                   "No",    "NO",    "n",     "N",
                                   "off",   "Off",   "OFF",   NULL};
  static const char *const unsayable[] = {
      ".inf",  ".Inf",  ".INF", "+.inf", "+.Inf", "+.INF", "-.inf",
      "-.Inf", "-.INF", ".nan", ".NaN",  ".NAN",  NULL};
  char digits[LONGEST_NUMBER];
  json_t *number = NULL;

  if (is_one_of(text, nulls))
    return json_null();
  if (as_text)
    return json_stringn(text, length);
  if (is_one_of(text, yes))
    return json_true();
  if (is_one_of(text, no))
    return json_false();
  if (is_one_of(text, unsayable))
    return NULL;
  if (strchr("+-.0123456789", text[0]) != NULL && clean(text, length, digits)) {
    number = integer(digits);
    if (number == NULL)
      number = real(digits);
  }
  return number != NULL ? number : json_stringn(text, length);
}
