/* Private to rows*.c: what both formats share. */
#ifndef TRANSHIP_CORE_ROWS_H
#define TRANSHIP_CORE_ROWS_H

#include "tranship/places.h"

typedef struct tsh_span {
  const char *at; /* NULL: it is not there */
  size_t length;
} tsh_span;

enum { TSH_ROW_TOPIC, TSH_ROW_PARTITION, TSH_ROW_OFFSET, TSH_ROW_FIELDS };

struct tsh_rows {
  tsh_rows_spec spec; /* its texts are in `text` */
  char *text;
  tsh_places *places;
  tsh_buf pending;
  tsh_rows_told told;
  int64_t rows;
  int column[TSH_ROW_FIELDS]; /* CSV: from 0 on; -1: none */
  bool has_columns;
  int64_t objects; /* JSON: at the top */
};

/* The name asked for; NULL when all rows share the value. */
const char *tsh_rows__name(const tsh_rows *rows, int field);
/* The row's answer, counted. */
tsh_place_answer tsh_rows__answer(tsh_rows *rows,
                                  const tsh_span field[TSH_ROW_FIELDS]);
/* Bytes [from, to) with the row's fields replaced. */
void tsh_rows__write(const tsh_rows *rows, const char *from, const char *to,
                     const tsh_span field[TSH_ROW_FIELDS],
                     const tsh_place_answer *answer, tsh_buf *out);

/* Both take whole rows from `bytes`: how many bytes they took, or a kind. */
int64_t tsh_rows__csv(tsh_rows *rows, const char *bytes, size_t size, bool last,
                      tsh_buf *out, tsh_err *err);
int64_t tsh_rows__json(tsh_rows *rows, const char *bytes, size_t size,
                       bool last, tsh_buf *out, tsh_err *err);

#endif
