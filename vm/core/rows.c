/* Rows of text with positions in them: what the formats share, and the way
 * from one descriptor to another. */
#include "rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  READ_AT_ONCE = 256 << 10,
  LONGEST_ROW = 256 << 20, /* a whole JSON document counts as one */
  TEXTS = 5
};

static const char **texts_of(tsh_rows_spec *spec, const char **list[TEXTS]) {
  list[0] = &spec->topic;
  list[1] = &spec->partition;
  list[2] = &spec->offset;
  list[3] = &spec->all_topic;
  list[4] = &spec->note;
  return *list;
}

/* Copies the texts of the spec into one block. */
static bool keep_texts(tsh_rows *rows) {
  const char **list[TEXTS];
  size_t size = 1;
  texts_of(&rows->spec, list);
  for (int i = 0; i < TEXTS; i++)
    size += *list[i] ? strlen(*list[i]) + 1 : 0;
  char *at = rows->text = malloc(size);
  if (at == NULL)
    return false;
  for (int i = 0; i < TEXTS; i++) {
    if (*list[i] == NULL)
      continue;
    size_t length = strlen(*list[i]) + 1;
    *list[i] = memcpy(at, *list[i], length);
    at += length;
  }
  return true;
}

tsh_rows *tsh_rows_new(const tsh_rows_spec *spec, tsh_places *places,
                       tsh_err *err) {
  tsh_rows *rows = calloc(1, sizeof *rows);
  if (rows != NULL) {
    rows->spec = *spec;
    tsh_buf_init(&rows->pending, LONGEST_ROW);
    rows->places = places;
    if (keep_texts(rows))
      return rows;
  }
  tsh_places_free(places);
  free(rows);
  tsh_err_set(err, TSH_NO_MEMORY, "rows", 0, "no memory for rows");
  return NULL;
}

void tsh_rows_free(tsh_rows *rows) {
  if (rows == NULL)
    return;
  tsh_places_free(rows->places);
  tsh_buf_fini(&rows->pending);
  free(rows->text);
  free(rows);
}

const tsh_rows_told *tsh_rows_what(const tsh_rows *rows) { return &rows->told; }

const char *tsh_rows__name(const tsh_rows *rows, int field) {
  const tsh_rows_spec *spec = &rows->spec;
  switch (field) {
    case TSH_ROW_TOPIC:
      return spec->all_topic ? NULL : spec->topic;
    case TSH_ROW_PARTITION:
      return spec->all_partition >= 0 ? NULL : spec->partition;
    default:
      return spec->offset;
  }
}

/* --- one row --- */

/* -1 for what is no number of 0 to 2^63-1. */
static int64_t number(tsh_span text) {
  int64_t value = 0;
  for (size_t i = 0; i < text.length; i++) {
    int digit = text.at[i] - '0';
    if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
        __builtin_add_overflow(value, digit, &value))
      return -1;
  }
  return text.length > 0 ? value : -1;
}

static void count(tsh_rows *rows, tsh_place how) {
  tsh_rows_told *told = &rows->told;
  rows->rows++;
  told->count[how]++;
  if (tsh_places_is_given(rows->places, how) ||
      told->refused_count == TSH_ROWS_SHOWN)
    return;
  told->refused[told->refused_count].row = rows->rows;
  told->refused[told->refused_count++].how = how;
}

tsh_place_answer tsh_rows__answer(tsh_rows *rows,
                                  const tsh_span field[TSH_ROW_FIELDS]) {
  const tsh_rows_spec *spec = &rows->spec;
  tsh_span topic = field[TSH_ROW_TOPIC];
  if (spec->all_topic)
    topic = (tsh_span){spec->all_topic, strlen(spec->all_topic)};
  int64_t partition = spec->all_partition >= 0
                          ? spec->all_partition
                          : number(field[TSH_ROW_PARTITION]);
  int64_t offset = number(field[TSH_ROW_OFFSET]);
  tsh_place_answer answer = {.how = TSH_PLACE_UNREADABLE};
  if (topic.at != NULL && partition >= 0 && offset >= 0)
    answer = tsh_places_find(rows->places, topic.at, topic.length, partition,
                             offset);
  count(rows, answer.how);
  return answer;
}

/* A null needs its quotes gone, an empty column does not. */
static void write_offset(const tsh_rows *rows, const tsh_place_answer *answer,
                         tsh_buf *out) {
  char digits[24];
  char *at = digits + sizeof digits;
  int64_t left = answer->offset;
  if (!tsh_places_is_given(rows->places, answer->how)) {
    tsh_buf_add_string(out, rows->spec.json ? "null" : "");
    return;
  }
  do
    *--at = (char)('0' + left % 10);
  while ((left /= 10) > 0);
  tsh_buf_add(out, at, (size_t)(digits + sizeof digits - at));
}

void tsh_rows__write(const tsh_rows *rows, const char *from, const char *to,
                     const tsh_span field[TSH_ROW_FIELDS],
                     const tsh_place_answer *answer, tsh_buf *out) {
  tsh_span topic = field[TSH_ROW_TOPIC], offset = field[TSH_ROW_OFFSET];
  bool given = tsh_places_is_given(rows->places, answer->how);
  bool topic_first = topic.at != NULL && topic.at < offset.at;
  if (!given && rows->spec.json && offset.at[-1] == '"') {
    offset.at--;
    offset.length += 2;
  }
  for (int i = 0; i < 2; i++) {
    bool is_topic = topic_first == (i == 0);
    tsh_span span = is_topic ? topic : offset;
    if (is_topic && (span.at == NULL || !given))
      continue;
    tsh_buf_add(out, from, (size_t)(span.at - from));
    if (is_topic)
      tsh_buf_add_string(out, answer->topic_there);
    else
      write_offset(rows, answer, out);
    from = span.at + span.length;
  }
  tsh_buf_add(out, from, (size_t)(to - from));
}

/* --- all of them --- */

static int too_long(tsh_err *err) {
  return tsh_err_set(err, TSH_LIMIT, "rows", 0,
                     "a row is longer than %d MiB, or there is no memory",
                     LONGEST_ROW >> 20);
}

int tsh_rows_feed(tsh_rows *rows, const char *bytes, size_t size, bool last,
                  tsh_buf *out, tsh_err *err) {
  tsh_buf_add(&rows->pending, bytes, size);
  if (rows->pending.failed)
    return too_long(err);
  const char *from = tsh_buf_text(&rows->pending);
  int64_t taken =
      rows->spec.json
          ? tsh_rows__json(rows, from, rows->pending.length, last, out, err)
          : tsh_rows__csv(rows, from, rows->pending.length, last, out, err);
  if (taken < 0)
    return (int)taken;
  tsh_buf_consume(&rows->pending, (size_t)taken);
  return out->failed ? too_long(err) : 0;
}

static int write_all(int output, const char *bytes, size_t size, tsh_err *err) {
  while (size > 0) {
    ssize_t n = write(output, bytes, size);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return tsh_err_errno(err, errno, "write rows");
    bytes += n;
    size -= (size_t)n;
  }
  return 0;
}

int tsh_rows_pass(tsh_rows *rows, int input, int output, tsh_err *err) {
  char *bytes = malloc(READ_AT_ONCE);
  tsh_buf out;
  int status = 0;
  ssize_t n = 1;
  tsh_buf_init(&out, 2 * (size_t)LONGEST_ROW);
  if (bytes == NULL)
    status = too_long(err);
  while (status == 0 && n > 0) {
    n = read(input, bytes, READ_AT_ONCE);
    if (n < 0 && errno == EINTR) {
      n = 1;
      continue;
    }
    if (n < 0) {
      status = tsh_err_errno(err, errno, "read rows");
      break;
    }
    status = tsh_rows_feed(rows, bytes, (size_t)n, n == 0, &out, err);
    if (status == 0)
      status = write_all(output, tsh_buf_text(&out), out.length, err);
    tsh_buf_consume(&out, out.length);
  }
  tsh_buf_fini(&out);
  free(bytes);
  return status;
}
