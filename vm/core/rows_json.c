/* JSON: every object that has the fields, however deep it lies, is a row. What
 * is not replaced passes byte by byte, white space and order of fields too. */
#include <string.h>

#include "rows.h"

enum { DEEPEST = 64 };

static const char *skip_space(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
    at++;
  return at;
}

/* Behind the string that begins at `at`; NULL: it does not end. */
static const char *skip_string(const char *at, const char *end) {
  for (at++; at < end; at++) {
    if (*at == '\\')
      at++;
    else if (*at == '"')
      return at + 1;
  }
  return NULL;
}

/* Behind the value that begins at `at`; NULL: it does not end here. */
static const char *skip_value(const char *at, const char *end) {
  int depth = 0;
  while (at < end) {
    char c = *at;
    if (c == '"') {
      at = skip_string(at, end);
      if (at == NULL)
        return NULL;
    } else if (c == '{' || c == '[') {
      depth++;
      at++;
    } else if (c == '}' || c == ']') {
      if (depth-- == 0)
        return at;
      at++;
    } else if (depth == 0 &&
               (c == ',' || c == ' ' || c == '\n' || c == '\t' || c == '\r')) {
      return at;
    } else {
      at++;
      continue; /* inside a number or word, or between values */
    }
    if (depth == 0)
      return at;
  }
  return NULL;
}

/* The next member of an object, from behind '{' or the member before on. */
typedef struct member {
  tsh_span key, value;
} member;

static bool next_member(const char **at, const char *end, member *out) {
  const char *key = skip_space(*at, end);
  if (key < end && *key == ',')
    key = skip_space(key + 1, end);
  if (key >= end || *key != '"')
    return false;
  const char *after = skip_string(key, end);
  if (after == NULL)
    return false;
  out->key = (tsh_span){key + 1, (size_t)(after - key - 2)};
  const char *value = skip_space(after, end);
  if (value >= end || *value != ':')
    return false;
  value = skip_space(value + 1, end);
  after = skip_value(value, end);
  if (after == NULL)
    return false;
  out->value = (tsh_span){value, (size_t)(after - value)};
  *at = after;
  return true;
}

/* The value at a path such as "offset.kafka_offset", without its quotes. */
static tsh_span find(tsh_span object, const char *path) {
  const char *at = object.at + 1, *end = object.at + object.length;
  size_t length = strcspn(path, ".");
  member one;
  while (next_member(&at, end, &one)) {
    if (one.key.length != length || memcmp(one.key.at, path, length) != 0)
      continue;
    if (path[length] == '.')
      return *one.value.at == '{' ? find(one.value, path + length + 1)
                                  : (tsh_span){NULL, 0};
    if (*one.value.at == '"')
      one.value = (tsh_span){one.value.at + 1, one.value.length - 2};
    return one.value;
  }
  return (tsh_span){NULL, 0};
}

/* Is there a position? Its fields, then. */
static bool read_fields(const tsh_rows *rows, tsh_span object,
                        tsh_span field[TSH_ROW_FIELDS]) {
  for (int f = TSH_ROW_FIELDS - 1; f >= 0; f--) {
    const char *name = tsh_rows__name(rows, f);
    field[f] = name != NULL ? find(object, name) : (tsh_span){NULL, 0};
    if (f == TSH_ROW_OFFSET && field[f].at == NULL)
      return false;
  }
  return true;
}

static void take_row(tsh_rows *rows, tsh_span object,
                     const tsh_span field[TSH_ROW_FIELDS], tsh_buf *out) {
  const char *end = object.at + object.length - 1; /* at the brace */
  tsh_place_answer answer = tsh_rows__answer(rows, field);
  tsh_rows__write(rows, object.at, end, field, &answer, out);
  if (rows->spec.note != NULL)
    tsh_buf_format(out, ",\"%s\":\"%s\"", rows->spec.note,
                   tsh_place_name(answer.how));
  tsh_buf_add(out, end, 1);
}

/* Passes a value on, rows inside it translated. */
static int walk(tsh_rows *rows, tsh_span value, int depth, tsh_buf *out,
                tsh_err *err) {
  tsh_span field[TSH_ROW_FIELDS];
  const char *at = value.at, *end = value.at + value.length;
  if (depth > DEEPEST)
    return tsh_err_set(err, TSH_INVALID, "rows", 0,
                       "JSON nested more than %d deep", DEEPEST);
  if (*at == '{' && read_fields(rows, value, field)) {
    take_row(rows, value, field, out);
    return 0;
  }
  const char *copied = at++;
  while (at < end) {
    if (*at == '"') {
      at = skip_string(at, end);
      if (at == NULL)
        break;
    } else if (*at == '{' || *at == '[') {
      const char *after = skip_value(at, end);
      if (after == NULL)
        break;
      tsh_buf_add(out, copied, (size_t)(at - copied));
      int status =
          walk(rows, (tsh_span){at, (size_t)(after - at)}, depth + 1, out, err);
      if (status < 0)
        return status;
      copied = at = after;
    } else {
      at++;
    }
  }
  tsh_buf_add(out, copied, (size_t)(end - copied));
  return 0;
}

static int check_end(const tsh_rows *rows, tsh_err *err) {
  if (rows->rows > 0 || rows->objects == 0)
    return 0;
  return tsh_err_set(err, TSH_INVALID, "rows", 0, "no object has a field '%s'",
                     rows->spec.offset);
}

/* Between values at the top, anything but an object passes: the brackets and
 * commas of one long array, too. */
int64_t tsh_rows__json(tsh_rows *rows, const char *bytes, size_t size,
                       bool last, tsh_buf *out, tsh_err *err) {
  const char *at = bytes, *end = bytes + size;
  while (at < end) {
    const char *open = memchr(at, '{', (size_t)(end - at));
    if (open == NULL) {
      tsh_buf_add(out, at, (size_t)(end - at));
      at = end;
      break;
    }
    tsh_buf_add(out, at, (size_t)(open - at));
    at = open;
    const char *after = skip_value(open, end);
    if (after == NULL && last)
      return tsh_err_set(err, TSH_INVALID, "rows", 0,
                         "the JSON ends within an object: %.60s", open);
    if (after == NULL)
      return at - bytes;
    rows->objects++;
    int status =
        walk(rows, (tsh_span){open, (size_t)(after - open)}, 0, out, err);
    if (status < 0)
      return status;
    at = after;
  }
  int status = last ? check_end(rows, err) : 0;
  return status < 0 ? status : at - bytes;
}
