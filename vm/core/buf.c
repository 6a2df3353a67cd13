/* A byte buffer that grows up to a stated bound and is always terminated. */
#include "tranship/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 64 };

void tsh_buf_init(tsh_buf *buf, size_t limit) {
  memset(buf, 0, sizeof *buf);
  buf->limit = limit;
}

void tsh_buf_fini(tsh_buf *buf) {
  size_t limit = buf->limit;

  free(buf->data);
  tsh_buf_init(buf, limit);
}

void tsh_buf_wipe(tsh_buf *buf) {
  if (buf->data != NULL)
    explicit_bzero(buf->data, buf->capacity);
  tsh_buf_fini(buf);
}

char *tsh_buf_reserve(tsh_buf *buf, size_t length) {
  size_t capacity = buf->capacity ? buf->capacity : FIRST_CAPACITY;
  char *data;

  if (buf->failed || length > buf->limit - buf->length) {
    buf->failed = true;
    return NULL;
  }
  while (capacity < buf->length + length + 1)
    capacity *= 2;
  if (capacity > buf->capacity) {
    data = realloc(buf->data, capacity);
    if (data == NULL) {
      buf->failed = true;
      return NULL;
    }
    buf->data = data;
    buf->capacity = capacity;
  }
  return buf->data + buf->length;
}

void tsh_buf_add(tsh_buf *buf, const void *bytes, size_t length) {
  char *room = tsh_buf_reserve(buf, length);

  if (room == NULL)
    return;
  if (length > 0)
    memcpy(room, bytes, length);
  buf->length += length;
  buf->data[buf->length] = '\0';
}

void tsh_buf_add_string(tsh_buf *buf, const char *text) {
  tsh_buf_add(buf, text, strlen(text));
}

void tsh_buf_format(tsh_buf *buf, const char *format, ...) {
  va_list args;
  int length;
  char *room;

  va_start(args, format);
  length = vsnprintf(NULL, 0, format, args);
  va_end(args);
  room = length < 0 ? NULL : tsh_buf_reserve(buf, (size_t)length);
  if (room == NULL)
    return;
  va_start(args, format);
  vsnprintf(room, (size_t)length + 1, format, args);
  va_end(args);
  buf->length += (size_t)length;
}

void tsh_buf_consume(tsh_buf *buf, size_t length) {
  if (length >= buf->length) {
    buf->length = 0;
  } else {
    memmove(buf->data, buf->data + length, buf->length - length);
    buf->length -= length;
  }
  if (buf->data != NULL)
    buf->data[buf->length] = '\0';
}

const char *tsh_buf_text(const tsh_buf *buf) {
  return buf->data != NULL && buf->length > 0 ? buf->data : "";
}
