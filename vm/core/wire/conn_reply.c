/* Replies: the head first, then straight into a buffer of exactly their size.
 *
 * Kafka answers the requests of a connection one after the other, so the
 * correlation id is a check, not a search. */
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "bytes.h"
#include "conn_int.h"
#include "tranship/proto.h"

enum {
  SIZE_FIELD = 4,
  LARGE_READ = 256 << 10, /* bytes of a body that are worth waking up for */
  SMALL_READ = 32 << 10   /* fewer are taken as they come */
};

/* --- bodies -------------------------------------------------------------- */

struct tsh_body {
  atomic_int refs;
  size_t size;
  uint8_t data[];
};

static tsh_body *new_body(size_t size) {
  tsh_body *body = malloc(sizeof *body + size);
  if (!body)
    return NULL;
  atomic_init(&body->refs, 1);
  body->size = size;
  return body;
}

tsh_body *tsh_body_keep(tsh_body *body) {
  atomic_fetch_add_explicit(&body->refs, 1, memory_order_relaxed);
  return body;
}

void tsh_body_release(tsh_body *body) {
  if (body &&
      atomic_fetch_sub_explicit(&body->refs, 1, memory_order_acq_rel) == 1)
    free(body);
}

/* --- replies ------------------------------------------------------------- */

/* A broker sends a large body in many small pieces. The kernel wakes us up
 * when so much of it has come (it caps that by the receive buffer's size), or
 * when the connection ends. */
static void wake_late(tsh_conn *conn) {
  size_t left = conn->body ? conn->body->size + REPLY_HEAD - conn->got : 0;
  int mark = left < SMALL_READ ? 1 : left < LARGE_READ ? (int)left : LARGE_READ;
  uv_os_fd_t fd;
  if (mark == conn->low_water || conn->tls || !conn->has_socket ||
      uv_fileno((uv_handle_t *)&conn->tcp, &fd) != 0)
    return;
  conn->low_water = mark;
  setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof mark);
}

static bool has_gone(const tsh_conn *conn, const flight *f) {
  if (conn->tls)
    return tsh_tls__has_taken(conn, f);
  return conn->handed -
             uv_stream_get_write_queue_size((const uv_stream_t *)&conn->tcp) >=
         f->end;
}

static void start_body(tsh_conn *conn) {
  uint32_t size = tsh_get32(conn->head);
  flight *f = conn->first;
  if (!f || !conn->last_out ||
      (int32_t)tsh_get32(conn->head + SIZE_FIELD) != f->correlation)
    tsh_conn__fail(conn, TSH_PROTOCOL, 0, "sent a reply that nobody asked for");
  else if (size < REPLY_HEAD - SIZE_FIELD || size > conn->options.max_reply)
    tsh_conn__fail(conn, TSH_PROTOCOL, 0, "sent a reply of %u bytes", size);
  else if (!has_gone(conn, f))
    tsh_conn__fail(conn, TSH_PROTOCOL, 0, "replied before it had the request");
  else if (!(conn->body = new_body(size - (REPLY_HEAD - SIZE_FIELD))))
    tsh_conn__fail(conn, TSH_NO_MEMORY, 0, "no memory for a reply of %u bytes",
                   size);
}

static void end_body(tsh_conn *conn) {
  flight *f = conn->first;
  tsh_body *body = conn->body;
  tsh_in in = tsh_in_of(body->data, body->size);
  if (f->tagged)
    tsh_in_skip_tags(&in);
  if (in.bad) {
    tsh_conn__fail(conn, TSH_PROTOCOL, 0, "sent a broken response header");
    return;
  }
  tsh_conn__throttle(
      conn, tsh_throttle_of(f->api_key, f->version, in.at, tsh_in_left(&in)));
  conn->body = NULL;
  conn->got = 0;
  conn->heard = true;
  tsh_conn__take_first(conn);
  tsh_conn__answer(f, &(tsh_reply){.data = body->data + (in.at - body->data),
                                   .size = tsh_in_left(&in),
                                   .body = body});
  tsh_body_release(body);
}

uv_buf_t tsh_conn__room(tsh_conn *conn) {
  if (conn->got < REPLY_HEAD)
    return uv_buf_init((char *)conn->head + conn->got,
                       (unsigned)(REPLY_HEAD - conn->got));
  size_t at = conn->got - REPLY_HEAD;
  return uv_buf_init((char *)conn->body->data + at,
                     (unsigned)(conn->body->size - at));
}

void tsh_conn__took(tsh_conn *conn, size_t n) {
  conn->got += n;
  if (conn->got == REPLY_HEAD && !conn->body)
    start_body(conn);
  wake_late(conn);
  if (conn->body && conn->got == REPLY_HEAD + conn->body->size)
    end_body(conn);
}

void tsh_conn__read_failed(tsh_conn *conn, int status) {
  if (status == UV_EOF)
    tsh_conn__fail(conn, TSH_UNAVAILABLE, 0,
                   "the broker ended the connection%s",
                   conn->state == CONN_OPENING ? " before we were let in" : "");
  else
    tsh_conn__fail(conn, TSH_UNAVAILABLE, -status, "%s", uv_strerror(status));
}

void tsh_conn__alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  (void)suggested;
  *buf = tsh_conn__room(handle->data);
}

void tsh_conn__read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  (void)buf;
  if (n < 0)
    tsh_conn__read_failed(stream->data, (int)n);
  else
    tsh_conn__took(stream->data, (size_t)n);
}
