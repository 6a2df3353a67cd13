/* A byte buffer that grows up to a stated bound and is always terminated.
 *
 * A buffer that met its bound or the end of memory remembers that (`failed`)
 * and ignores what is added afterwards, so that a chain of additions needs one
 * check at its end. */
#ifndef TRANSHIP_BUF_H
#define TRANSHIP_BUF_H

#include <stdbool.h>
#include <stddef.h>

typedef struct tsh_buf {
  char *data; /* NULL while empty; else data[length] is '\0' */
  size_t length;
  size_t capacity;
  size_t limit; /* bytes it may hold, the terminator not counted */
  bool failed;
} tsh_buf;

void tsh_buf_init(tsh_buf *buf, size_t limit);
/* Frees the bytes; the buffer is empty and usable again. */
void tsh_buf_fini(tsh_buf *buf);
/* The same, and nothing of them stays in memory. */
void tsh_buf_wipe(tsh_buf *buf);
void tsh_buf_add(tsh_buf *buf, const void *bytes, size_t length);
void tsh_buf_add_string(tsh_buf *buf, const char *text);
void tsh_buf_format(tsh_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Room for `length` more bytes, to be filled by the caller, or NULL. */
char *tsh_buf_reserve(tsh_buf *buf, size_t length);
/* Drops the first `length` bytes. */
void tsh_buf_consume(tsh_buf *buf, size_t length);
/* The bytes as a string, never NULL. */
const char *tsh_buf_text(const tsh_buf *buf);

#endif
