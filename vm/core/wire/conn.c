/* Connections: requests go out in order, replies come back in order.
 *
 * Kafka answers the requests of a connection one after the other, so those in
 * flight form a queue; the correlation id is a check, not a search. Replies
 * are read head first, then straight into a buffer of exactly their size. */
#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "bytes.h"
#include "conn_int.h"
#include "tranship/loop.h"
#include "tranship/proto.h"

enum {
  API_VERSIONS = 18, /* its response header is never tagged */
  DEFAULT_SOCKET_BUFFER = 1 << 20,
  DEFAULT_MAX_REPLY = 128 << 20,
  DEFAULT_TIMEOUT_MS = 30000,
  LONGEST_CLIENT_ID = 255,
  SIZE_FIELD = 4
};

/* --- bodies -------------------------------------------------------------- */

struct tsh_body {
  atomic_int refs;
  size_t size;
  uint8_t data[];
};

static tsh_body *new_body(size_t size) {
  tsh_body *body = malloc(sizeof *body + size);
  if (!body) return NULL;
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

/* --- ends ---------------------------------------------------------------- */

static void drop_flight(flight *f) {
  if (f->answered && !f->writing) free(f);
}

static flight *take_first(tsh_conn *conn) {
  flight *f = conn->first;
  conn->first = f->next;
  if (!conn->first) conn->last = NULL;
  conn->in_flight--;
  return f;
}

static void answer(flight *f, const tsh_reply *reply) {
  f->answered = true;
  f->replied(f->user, reply);
  drop_flight(f);
}

static void answer_all(tsh_conn *conn, const tsh_err *err) {
  tsh_reply reply = {.status = err->kind, .err = err};
  while (conn->first) answer(take_first(conn), &reply);
}

void tsh_conn__drop_part(tsh_conn *conn) {
  if (--conn->parts > 0 || !conn->closed) return;
  uv_freeaddrinfo(conn->addresses);
  free(conn->text);
  free(conn);
}

static void on_closed(uv_handle_t *handle) {
  tsh_conn__drop_part(handle->data);
}

/* Nothing is read, written or timed any more. */
static void stop(tsh_conn *conn) {
  if (conn->state == CONN_FAILED) return;
  conn->state = CONN_FAILED;
  if (conn->has_socket) uv_close((uv_handle_t *)&conn->tcp, on_closed);
  conn->has_socket = false;
  uv_close((uv_handle_t *)&conn->timer, on_closed);
  tsh_body_release(conn->body);
  conn->body = NULL;
}

__attribute__((format(printf, 4, 5)))
static void fail(tsh_conn *conn, tsh_kind kind, int code, const char *format,
                 ...) {
  char text[256];
  va_list args;
  if (conn->state == CONN_FAILED) return;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  tsh_err_set(&conn->err, kind, "wire", code, "%s:%u: %s", conn->options.host,
              conn->options.port, text);
  conn->err.retriable = kind == TSH_UNAVAILABLE || kind == TSH_TIMEOUT;
  conn->err.fatal = true;
  stop(conn);
  answer_all(conn, &conn->err);
  if (!conn->closed && conn->options.failed)
    conn->options.failed(conn->options.user, &conn->err);
}

/* --- time ---------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

static void wake_at(tsh_conn *conn, uint64_t when) {
  uint64_t now = uv_now(conn->loop);
  if (conn->state == CONN_FAILED || (conn->wake && conn->wake <= when)) return;
  conn->wake = when;
  uv_timer_start(&conn->timer, on_timer, when > now ? when - now : 0, 0);
}

void tsh_conn__fail_soon(tsh_conn *conn, int status) {
  if (!conn->late_status) conn->late_status = status;
  conn->wake = 0;
  wake_at(conn, uv_now(conn->loop));
}

static flight *find_overdue(tsh_conn *conn, uint64_t now) {
  for (flight *f = conn->first; f; f = f->next)
    if (f->deadline <= now) return f;
  return NULL;
}

/* The overdue request hears of its timeout, the others that the connection
 * is gone. */
static void fail_overdue(tsh_conn *conn, flight *overdue) {
  tsh_err err;
  flight **at = &conn->first, *before = NULL;
  for (; *at != overdue; at = &(*at)->next) before = *at;
  *at = overdue->next;
  if (conn->last == overdue) conn->last = before;
  conn->in_flight--;
  tsh_err_set(&err, TSH_TIMEOUT, "wire", 0, "%s:%u: no answer in time",
              conn->options.host, conn->options.port);
  err.retriable = true;
  /* The socket first: the request's memory is free once it is answered. */
  conn->err = err;
  conn->err.kind = TSH_UNAVAILABLE;
  conn->err.fatal = true;
  stop(conn);
  answer(overdue, &(tsh_reply){.status = TSH_TIMEOUT, .err = &err});
  answer_all(conn, &conn->err);
  if (!conn->closed && conn->options.failed)
    conn->options.failed(conn->options.user, &conn->err);
}

static void on_timer(uv_timer_t *timer) {
  tsh_conn *conn = timer->data;
  uint64_t now = uv_now(conn->loop);
  conn->wake = 0;
  if (conn->late_status) {
    fail(conn, TSH_UNAVAILABLE, -conn->late_status, "%s%s",
         conn->state == CONN_OPENING ? "cannot connect: " : "",
         uv_strerror(conn->late_status));
    return;
  }
  if (conn->state == CONN_OPENING && conn->open_deadline <= now) {
    fail(conn, TSH_UNAVAILABLE, 0, "cannot connect in time");
    return;
  }
  flight *overdue = find_overdue(conn, now);
  if (overdue && conn->grace) {
    fail_overdue(conn, overdue);
    return;
  }
  /* After a long callback its reply may lie in the socket: read first. */
  conn->grace = overdue != NULL;
  if (overdue) wake_at(conn, now + 1);
  if (conn->state == CONN_OPENING) wake_at(conn, conn->open_deadline);
  for (flight *f = conn->first; f; f = f->next) wake_at(conn, f->deadline);
}

/* --- replies ------------------------------------------------------------- */

static void start_body(tsh_conn *conn) {
  uint32_t size = tsh_get32(conn->head);
  flight *f = conn->first;
  if (!f || (int32_t)tsh_get32(conn->head + SIZE_FIELD) != f->correlation)
    fail(conn, TSH_PROTOCOL, 0, "sent a reply that nobody asked for");
  else if (size < REPLY_HEAD - SIZE_FIELD || size > conn->options.max_reply)
    fail(conn, TSH_PROTOCOL, 0, "sent a reply of %u bytes", size);
  else if (conn->handed - tsh_conn_unsent(conn) < f->end)
    fail(conn, TSH_PROTOCOL, 0, "replied before it had the request");
  else if (!(conn->body = new_body(size - (REPLY_HEAD - SIZE_FIELD))))
    fail(conn, TSH_NO_MEMORY, 0, "no memory for a reply of %u bytes", size);
}

static void end_body(tsh_conn *conn) {
  flight *f = conn->first;
  tsh_body *body = conn->body;
  tsh_in in = tsh_in_of(body->data, body->size);
  if (f->tagged) tsh_in_skip_tags(&in);
  if (in.bad) {
    fail(conn, TSH_PROTOCOL, 0, "sent a broken response header");
    return;
  }
  conn->body = NULL;
  conn->got = 0;
  take_first(conn);
  answer(f, &(tsh_reply){.data = body->data + (in.at - body->data),
                         .size = tsh_in_left(&in), .body = body});
  tsh_body_release(body);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  tsh_conn *conn = handle->data;
  (void)suggested;
  if (conn->got < REPLY_HEAD) {
    *buf = uv_buf_init((char *)conn->head + conn->got,
                       (unsigned)(REPLY_HEAD - conn->got));
    return;
  }
  size_t at = conn->got - REPLY_HEAD;
  *buf = uv_buf_init((char *)conn->body->data + at,
                     (unsigned)(conn->body->size - at));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  tsh_conn *conn = stream->data;
  (void)buf;
  if (n < 0) {
    if (n == UV_EOF)
      fail(conn, TSH_UNAVAILABLE, 0, "the broker ended the connection");
    else
      fail(conn, TSH_UNAVAILABLE, (int)-n, "%s", uv_strerror((int)n));
    return;
  }
  conn->got += (size_t)n;
  if (conn->got == REPLY_HEAD && !conn->body) start_body(conn);
  if (conn->body && conn->got == REPLY_HEAD + conn->body->size) end_body(conn);
}

/* --- requests ------------------------------------------------------------ */

static void on_written(uv_write_t *req, int status) {
  flight *f = req->data;
  tsh_conn *conn = f->conn;
  f->writing = false;
  if (!f->answered && status < 0)
    fail(conn, TSH_UNAVAILABLE, -status, "%s", uv_strerror(status));
  else
    drop_flight(f);
}

static int write_flight(tsh_conn *conn, flight *f) {
  for (unsigned i = 0; i < f->count; i++) conn->handed += f->bufs[i].len;
  f->end = conn->handed;
  f->write.data = f;
  int status = uv_write(&f->write, (uv_stream_t *)&conn->tcp, f->bufs,
                        f->count, on_written);
  f->writing = status == 0;
  return status;
}

void tsh_conn__connected(tsh_conn *conn) {
  int status;
  conn->state = CONN_OPEN;
  status = uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
  for (flight *f = conn->first; f && status == 0; f = f->next)
    status = write_flight(conn, f);
  if (status < 0) tsh_conn__fail_soon(conn, status);
}

static size_t write_header(uint8_t *at, const tsh_conn *conn,
                           const tsh_request *req, const flight *f,
                           size_t body, bool flexible) {
  tsh_text id = {conn->options.client_id, conn->client_id_size};
  tsh_out out = {at, 0};
  size_t size = 2 + 2 + 4 + 2 + id.size + flexible;
  tsh_out_i32(&out, (int32_t)(size + body));
  tsh_out_i16(&out, req->api_key);
  tsh_out_i16(&out, req->version);
  tsh_out_i32(&out, f->correlation);
  tsh_out_text(&out, id, false); /* never compact */
  tsh_out_no_tags(&out, flexible);
  return out.size;
}

static int check_request(const tsh_conn *conn, const tsh_request *req,
                         const tsh_message *msg, size_t body, tsh_err *err) {
  if (!msg || req->version < msg->min || req->version > msg->max)
    return tsh_err_set(err, TSH_INVALID, "wire", 0,
                       "no message with key %d and version %d is known",
                       req->api_key, req->version);
  if (msg->writes && conn->options.read_only)
    return tsh_err_set(err, TSH_READ_ONLY, "wire", 0,
                       "%s writes, and the connection only reads", msg->name);
  if (body > INT32_MAX - 2 * LONGEST_CLIENT_ID)
    return tsh_err_set(err, TSH_INVALID, "wire", 0, "a %s of %zu bytes",
                       msg->name, body);
  if (conn->state != CONN_FAILED) return 0;
  tsh_err_set(err, TSH_UNAVAILABLE, "wire", conn->err.code, "%s",
              conn->err.message);
  if (err) err->retriable = true;
  return TSH_UNAVAILABLE;
}

static flight *new_flight(tsh_conn *conn, const tsh_request *req, size_t body,
                          const tsh_message *msg) {
  unsigned count = (unsigned)req->count + 1;
  size_t list = count * sizeof(uv_buf_t);
  bool flexible = req->version >= msg->flexible;
  uint64_t timeout = req->timeout_ms ? req->timeout_ms
                                     : conn->options.timeout_ms;
  flight *f = malloc(sizeof *f + list + 16 + conn->client_id_size);
  if (!f) return NULL;
  uv_update_time(conn->loop);
  *f = (flight){.conn = conn, .deadline = uv_now(conn->loop) + timeout,
                .replied = req->replied, .user = req->user,
                .correlation = conn->correlation,
                .tagged = flexible && req->api_key != API_VERSIONS,
                .count = count};
  conn->correlation = (conn->correlation + 1) & INT32_MAX;
  uint8_t *header = (uint8_t *)f + sizeof *f + list;
  size_t size = write_header(header, conn, req, f, body, flexible);
  f->bufs[0] = uv_buf_init((char *)header, (unsigned)size);
  for (int i = 0; i < req->count; i++)
    f->bufs[i + 1] = uv_buf_init(req->parts[i].iov_base,
                                 (unsigned)req->parts[i].iov_len);
  return f;
}

int tsh_conn_send(tsh_conn *conn, const tsh_request *req, tsh_err *err) {
  const tsh_message *msg = tsh_message_of(req->api_key);
  size_t body = 0;
  for (int i = 0; i < req->count; i++) body += req->parts[i].iov_len;
  int status = check_request(conn, req, msg, body, err);
  if (status < 0) return status;
  flight *f = new_flight(conn, req, body, msg);
  if (!f)
    return tsh_err_set(err, TSH_NO_MEMORY, "wire", 0, "no memory for %s",
                       msg->name);
  if (conn->last)
    conn->last->next = f;
  else
    conn->first = f;
  conn->last = f;
  conn->in_flight++;
  wake_at(conn, f->deadline);
  if (conn->state == CONN_OPEN && (status = write_flight(conn, f)) < 0)
    tsh_conn__fail_soon(conn, status);
  return 0;
}

bool tsh_conn_failed(const tsh_conn *conn) {
  return conn->state == CONN_FAILED;
}

size_t tsh_conn_in_flight(const tsh_conn *conn) { return conn->in_flight; }

size_t tsh_conn_unsent(const tsh_conn *conn) {
  if (!conn->has_socket) return 0;
  return uv_stream_get_write_queue_size((const uv_stream_t *)&conn->tcp);
}

/* --- life ---------------------------------------------------------------- */

static int set_options(tsh_conn *conn, const tsh_conn_options *options,
                       tsh_err *err) {
  const char *id = options->client_id ? options->client_id : "tranship";
  size_t host_size = strlen(options->host) + 1, id_size = strlen(id);
  tsh_conn_options *own = &conn->options;
  conn->text = malloc(host_size + id_size + 1);
  if (!conn->text)
    return tsh_err_set(err, TSH_NO_MEMORY, "wire", 0,
                       "no memory for a connection");
  memcpy(conn->text, options->host, host_size);
  memcpy(conn->text + host_size, id, id_size + 1);
  *own = *options;
  own->host = conn->text;
  own->client_id = conn->text + host_size;
  conn->client_id_size = id_size;
  if (!own->socket_buffer) own->socket_buffer = DEFAULT_SOCKET_BUFFER;
  if (!own->max_reply) own->max_reply = DEFAULT_MAX_REPLY;
  if (!own->timeout_ms) own->timeout_ms = DEFAULT_TIMEOUT_MS;
  return 0;
}

tsh_conn *tsh_conn_open(tsh_loop *loop, const tsh_conn_options *options,
                        tsh_err *err) {
  if (!options->host || !*options->host || !options->port ||
      options->socket_buffer > INT32_MAX || options->max_reply > INT32_MAX ||
      (options->client_id && strlen(options->client_id) > LONGEST_CLIENT_ID)) {
    tsh_err_set(err, TSH_INVALID, "wire", 0,
                "a connection needs a host, a port and sizes below 2 GiB");
    return NULL;
  }
  tsh_conn *conn = calloc(1, sizeof *conn);
  if (!conn || set_options(conn, options, err) < 0) {
    if (!conn) tsh_err_set(err, TSH_NO_MEMORY, "wire", 0, "no memory");
    free(conn);
    return NULL;
  }
  conn->loop = tsh_loop_uv(loop);
  uv_timer_init(conn->loop, &conn->timer);
  conn->timer.data = conn;
  conn->parts = 1;
  uv_update_time(conn->loop);
  conn->open_deadline = uv_now(conn->loop) + conn->options.timeout_ms;
  wake_at(conn, conn->open_deadline);
  tsh_conn__start(conn);
  return conn;
}

void tsh_conn_close(tsh_conn *conn) {
  tsh_err err;
  assert(!conn->closed);
  conn->closed = true;
  tsh_err_set(&err, TSH_CLOSED, "wire", 0, "%s:%u: closed",
              conn->options.host, conn->options.port);
  stop(conn);
  if (conn->has_lookup) uv_cancel((uv_req_t *)&conn->resolving);
  answer_all(conn, &err);
  if (conn->parts > 0) return;
  conn->parts = 1;
  tsh_conn__drop_part(conn);
}
