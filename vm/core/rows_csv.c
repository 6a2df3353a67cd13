/* CSV as in RFC 4180: quoted columns may hold delimiters, quotes and line
 * ends. What is not replaced passes byte by byte. */
#include <stdlib.h>
#include <string.h>

#include "rows.h"

/* One column from `at` on; sets its content without quotes, and where the
 * column ends: at a delimiter or line end, or `end`. */
static const char *column(const char *at, const char *end, char delimiter,
                          tsh_span *out) {
  const char *start = at;
  bool quoted = at < end && *at == '"';
  if (quoted) {
    for (at++; at < end; at++) {
      if (*at != '"')
        continue;
      if (at + 1 < end && at[1] == '"')
        at++;
      else
        break;
    }
    *out = (tsh_span){start + 1, (size_t)(at - start - 1)};
    if (at < end)
      at++;
  }
  while (at < end && *at != delimiter && *at != '\n')
    at++;
  if (!quoted)
    *out = (tsh_span){start, (size_t)(at - start)};
  if (!quoted && out->length > 0 && at < end && *at == '\n' && at[-1] == '\r')
    out->length--;
  return at;
}

static void note_column(tsh_rows *rows, int index, tsh_span text) {
  for (int f = 0; f < TSH_ROW_FIELDS; f++) {
    const char *name = tsh_rows__name(rows, f);
    if (name != NULL && rows->column[f] < 0 && strlen(name) == text.length &&
        memcmp(name, text.at, text.length) == 0)
      rows->column[f] = index;
  }
}

/* Without a head, names are numbers. */
static void number_columns(tsh_rows *rows) {
  for (int f = 0; f < TSH_ROW_FIELDS; f++) {
    const char *name = tsh_rows__name(rows, f);
    rows->column[f] = name != NULL ? (int)strtoll(name, NULL, 10) - 1 : -1;
  }
}

static int check_columns(tsh_rows *rows, tsh_span head, tsh_err *err) {
  static const char *const what[] = {"topic", "partition", "offset"};
  for (int f = 0; f < TSH_ROW_FIELDS; f++) {
    const char *name = tsh_rows__name(rows, f);
    if (name != NULL && rows->column[f] < 0)
      return tsh_err_set(err, TSH_INVALID, "rows", 0,
                         "no column '%s' for the %s in: %.*s", name, what[f],
                         (int)(head.length < 200 ? head.length : 200), head.at);
  }
  rows->has_columns = true;
  return 0;
}

static void add_note(const tsh_rows *rows, const char *word, tsh_buf *out) {
  if (rows->spec.note == NULL)
    return;
  tsh_buf_add(out, &rows->spec.delimiter, 1);
  tsh_buf_add_string(out, word);
}

/* [from, to): the row without its line end. */
static int take_row(tsh_rows *rows, const char *from, const char *to,
                    const tsh_span field[TSH_ROW_FIELDS], tsh_buf *out,
                    tsh_err *err) {
  if (from == to)
    return 0; /* an empty line */
  if (!rows->has_columns) {
    tsh_buf_add(out, from, (size_t)(to - from));
    add_note(rows, rows->spec.note, out);
    return check_columns(rows, (tsh_span){from, (size_t)(to - from)}, err);
  }
  tsh_place_answer answer = tsh_rows__answer(rows, field);
  if (field[TSH_ROW_OFFSET].at != NULL)
    tsh_rows__write(rows, from, to, field, &answer, out);
  else
    tsh_buf_add(out, from, (size_t)(to - from));
  add_note(rows, tsh_place_name(answer.how), out);
  return 0;
}

int64_t tsh_rows__csv(tsh_rows *rows, const char *bytes, size_t size, bool last,
                      tsh_buf *out, tsh_err *err) {
  const char *at = bytes, *end = bytes + size;
  if (!rows->has_columns) {
    number_columns(rows);
    rows->has_columns = rows->spec.no_head;
  }
  while (at < end) {
    const char *row = at;
    tsh_span text, field[TSH_ROW_FIELDS] = {{NULL, 0}};
    if (!rows->has_columns)
      memset(rows->column, -1, sizeof rows->column);
    for (int index = 0;; index++, at++) {
      at = column(at, end, rows->spec.delimiter, &text);
      if (!rows->has_columns)
        note_column(rows, index, text);
      else
        for (int f = 0; f < TSH_ROW_FIELDS; f++)
          if (rows->column[f] == index)
            field[f] = text;
      if (at == end || *at == '\n')
        break;
    }
    if (at == end && !last)
      return row - bytes; /* it may go on */
    const char *stop = at > row && at < end && at[-1] == '\r' ? at - 1 : at;
    int status = take_row(rows, row, stop, field, out, err);
    if (status < 0)
      return status;
    at += at < end;
    tsh_buf_add(out, stop, (size_t)(at - stop));
  }
  return (int64_t)size;
}
