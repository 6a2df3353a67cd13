/* Ends of connections: whatever happens, each request in flight is answered
 * exactly once, and after the socket has let go of its memory. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn_int.h"

/* --- ends ---------------------------------------------------------------- */

void tsh_conn__drop_flight(flight *f) {
  if (f->answered && !f->writing)
    free(f);
}

flight *tsh_conn__take_first(tsh_conn *conn) {
  flight *f = conn->first;
  conn->first = f->next;
  if (!conn->first)
    conn->last = NULL;
  if (!conn->last_out)
    conn->waiting -= f->size;
  else if (conn->last_out == f)
    conn->last_out = NULL;
  conn->in_flight -= !f->ours;
  return f;
}

void tsh_conn__answer(flight *f, const tsh_reply *reply) {
  f->answered = true;
  f->replied(f->user, reply);
  tsh_conn__drop_flight(f);
}

void tsh_conn__answer_all(tsh_conn *conn, const tsh_err *err) {
  tsh_reply reply = {.status = err->kind, .err = err};
  while (conn->first)
    tsh_conn__answer(tsh_conn__take_first(conn), &reply);
}

void tsh_conn__drop_part(tsh_conn *conn) {
  if (--conn->parts > 0 || !conn->closed)
    return;
  tsh_conn__free(conn);
}

static void on_closed(uv_handle_t *handle) {
  tsh_conn__drop_part(handle->data);
}

/* Nothing is read, written or timed any more. */
void tsh_conn__stop(tsh_conn *conn) {
  if (conn->state == CONN_FAILED)
    return;
  conn->state = CONN_FAILED;
  tsh_tls__stop(conn);
  tsh_sasl__stop(conn);
  if (conn->has_socket)
    uv_close((uv_handle_t *)&conn->tcp, on_closed);
  conn->has_socket = false;
  uv_close((uv_handle_t *)&conn->timer, on_closed);
  tsh_body_release(conn->body);
  conn->body = NULL;
}

void tsh_conn__fail(tsh_conn *conn, tsh_kind kind, int code, const char *format,
                    ...) {
  char text[400];
  va_list args;
  if (conn->state == CONN_FAILED)
    return;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  SSL *ssl = tsh_tls__opened(conn);
  if (kind == TSH_UNAVAILABLE && ssl && !conn->heard &&
      tsh_tls__blames_us(conn, ssl, text + strlen(text),
                         sizeof text - strlen(text)))
    kind = TSH_AUTH;
  tsh_err_set(&conn->err, kind, "wire", code, "%s:%u: %s", conn->options.host,
              conn->options.port, text);
  conn->err.retriable = kind == TSH_UNAVAILABLE || kind == TSH_TIMEOUT;
  conn->err.fatal = true;
  tsh_conn__stop(conn);
  tsh_conn__answer_all(conn, &conn->err);
  if (!conn->closed && conn->options.failed)
    conn->options.failed(conn->options.user, &conn->err);
}

/* --- time ---------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

void tsh_conn__wake_at(tsh_conn *conn, uint64_t when) {
  uint64_t now = uv_now(conn->loop);
  if (conn->state == CONN_FAILED || (conn->wake && conn->wake <= when))
    return;
  conn->wake = when;
  uv_timer_start(&conn->timer, on_timer, when > now ? when - now : 0, 0);
}

void tsh_conn__fail_soon(tsh_conn *conn, int status) {
  if (!conn->late_status)
    conn->late_status = status;
  conn->wake = 0;
  tsh_conn__wake_at(conn, uv_now(conn->loop));
}

static flight *find_overdue(tsh_conn *conn, uint64_t now) {
  for (flight *f = conn->first; f; f = f->next)
    if (f->deadline <= now)
      return f;
  return NULL;
}

/* The overdue request hears of its timeout, the others that the connection
 * is gone. */
static void fail_overdue(tsh_conn *conn, flight *overdue) {
  tsh_err err;
  flight **at = &conn->first, *before = NULL;
  for (; *at != overdue; at = &(*at)->next)
    before = *at;
  *at = overdue->next;
  if (conn->last == overdue)
    conn->last = before;
  if (conn->last_out == overdue)
    conn->last_out = before;
  conn->in_flight -= !overdue->ours;
  tsh_err_set(&err, TSH_TIMEOUT, "wire", 0, "%s:%u: no answer in time",
              conn->options.host, conn->options.port);
  err.retriable = true;
  /* The socket first: the request's memory is free once it is answered. */
  conn->err = err;
  conn->err.kind = TSH_UNAVAILABLE;
  conn->err.fatal = true;
  tsh_conn__stop(conn);
  tsh_conn__answer(overdue, &(tsh_reply){.status = TSH_TIMEOUT, .err = &err});
  tsh_conn__answer_all(conn, &conn->err);
  if (!conn->closed && conn->options.failed)
    conn->options.failed(conn->options.user, &conn->err);
}

static void wake_for_all(tsh_conn *conn) {
  if (conn->state == CONN_OPENING)
    tsh_conn__wake_at(conn, conn->open_deadline);
  if (conn->quiet_until)
    tsh_conn__wake_at(conn, conn->quiet_until);
  for (flight *f = conn->first; f; f = f->next)
    tsh_conn__wake_at(conn, f->deadline);
}

/* The broker reads nothing of this connection for so long, so nothing is sent
 * and nothing is late. */
void tsh_conn__throttle(tsh_conn *conn, uint32_t ms) {
  uint64_t now = uv_now(conn->loop), until = now + ms;
  if (conn->state == CONN_FAILED || until <= conn->quiet_until)
    return;
  if (conn->options.meter)
    atomic_fetch_add(&conn->options.meter->throttled_ms,
                     until -
                         (conn->quiet_until > now ? conn->quiet_until : now));
  conn->quiet_until = until;
  for (flight *f = conn->first; f; f = f->next)
    f->deadline += ms;
  tsh_conn__wake_at(conn, until);
}

static bool is_over(tsh_conn *conn, uint64_t now) {
  if (conn->late_status)
    tsh_conn__fail(conn, TSH_UNAVAILABLE, -conn->late_status, "%s%s",
                   conn->state == CONN_OPENING ? "cannot connect: " : "",
                   uv_strerror(conn->late_status));
  else if (conn->state == CONN_OPENING && conn->open_deadline <= now)
    tsh_conn__fail(conn, TSH_UNAVAILABLE, 0, "cannot connect in time");
  return conn->state == CONN_FAILED;
}

static void on_timer(uv_timer_t *timer) {
  tsh_conn *conn = timer->data;
  uint64_t now = uv_now(conn->loop);
  conn->wake = 0;
  if (is_over(conn, now))
    return;
  flight *overdue = find_overdue(conn, now);
  if (overdue && conn->grace) {
    fail_overdue(conn, overdue);
    return;
  }
  /* After a long callback its reply may lie in the socket: read first. */
  conn->grace = overdue != NULL;
  if (overdue)
    tsh_conn__wake_at(conn, now + 1);
  if (conn->quiet_until && conn->quiet_until <= now) {
    conn->quiet_until = 0;
    tsh_conn__pump(conn);
  }
  tsh_sasl__look(conn, now);
  wake_for_all(conn);
}
