/* Connections: requests go out in order, from the caller's memory.
 *
 * Kafka answers them one after the other, so those in flight form a queue. */
#include <assert.h>
#include <stdlib.h>

#include "bytes.h"
#include "conn_int.h"
#include "tranship/login.h"
#include "tranship/loop.h"

enum {
  API_VERSIONS = 18, /* its response header is never tagged */
  DEFAULT_SOCKET_BUFFER = 1 << 20,
  DEFAULT_MAX_REPLY = 128 << 20,
  DEFAULT_TIMEOUT_MS = 30000,
  LONGEST_CLIENT_ID = 255
};

/* --- the socket ---------------------------------------------------------- */

static void on_written(uv_write_t *req, int status) {
  flight *f = req->data;
  tsh_conn *conn = f->conn;
  f->writing = false;
  if (!f->answered && status < 0)
    tsh_conn__fail(conn, TSH_UNAVAILABLE, -status, "%s", uv_strerror(status));
  else
    tsh_conn__drop_flight(f);
}

static int write_flight(tsh_conn *conn, flight *f) {
  conn->handed += f->size;
  f->end = conn->handed;
  f->write.data = f;
  int status = uv_write(&f->write, (uv_stream_t *)&conn->tcp, f->bufs, f->count,
                        on_written);
  f->writing = status == 0;
  return status;
}

/* --- order: what goes when ----------------------------------------------- */

static bool may_go(const tsh_conn *conn, const flight *f) {
  if (f->ours)
    return true;
  return conn->state == CONN_OPEN && conn->quiet_until == 0 &&
         !tsh_sasl__holds(conn);
}

flight *tsh_conn__next(tsh_conn *conn) {
  flight *f = conn->last_out ? conn->last_out->next : conn->first;
  if (!f || conn->state == CONN_FAILED || !may_go(conn, f))
    return NULL;
  conn->last_out = f;
  conn->waiting -= f->size;
  return f;
}

void tsh_conn__pump(tsh_conn *conn) {
  flight *f;
  int status = 0;
  if (conn->tls) {
    tsh_tls__pump(conn);
    return;
  }
  while (status == 0 && (f = tsh_conn__next(conn)) != NULL)
    status = write_flight(conn, f);
  if (status < 0)
    tsh_conn__fail_soon(conn, status);
}

void tsh_conn__connected(tsh_conn *conn) {
  if (conn->tls) {
    tsh_tls__start(conn);
    return;
  }
  int status =
      uv_read_start((uv_stream_t *)&conn->tcp, tsh_conn__alloc, tsh_conn__read);
  if (status < 0)
    tsh_conn__fail_soon(conn, status);
  else
    tsh_conn__secured(conn);
}

void tsh_conn__secured(tsh_conn *conn) {
  if (conn->sasl)
    tsh_sasl__begin(conn);
  else
    tsh_conn__ready(conn);
}

void tsh_conn__ready(tsh_conn *conn) {
  conn->state = CONN_OPEN;
  tsh_conn__pump(conn);
}

/* --- requests ------------------------------------------------------------ */

static size_t write_header(uint8_t *at, const tsh_conn *conn,
                           const tsh_request *req, const flight *f, size_t body,
                           bool flexible) {
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
  if (conn->state != CONN_FAILED)
    return 0;
  return tsh_err_set(err,
                     conn->err.kind == TSH_AUTH ? TSH_AUTH : TSH_UNAVAILABLE,
                     "wire", conn->err.code, "%s", conn->err.message);
}

static flight *new_flight(tsh_conn *conn, const tsh_request *req, size_t body,
                          bool flexible) {
  unsigned count = (unsigned)req->count + 1;
  size_t list = count * sizeof(uv_buf_t);
  uint64_t timeout =
      req->timeout_ms ? req->timeout_ms : conn->options.timeout_ms;
  flight *f = malloc(sizeof *f + list + 16 + conn->client_id_size);
  if (!f)
    return NULL;
  uv_update_time(conn->loop);
  uint64_t from = uv_now(conn->loop);
  if (conn->quiet_until > from)
    from = conn->quiet_until;
  *f = (flight){.conn = conn,
                .deadline = from + timeout,
                .api_key = req->api_key,
                .version = req->version,
                .replied = req->replied,
                .user = req->user,
                .correlation = conn->correlation,
                .tagged = flexible && req->api_key != API_VERSIONS,
                .count = count};
  conn->correlation = (conn->correlation + 1) & INT32_MAX;
  uint8_t *header = (uint8_t *)f + sizeof *f + list;
  size_t size = write_header(header, conn, req, f, body, flexible);
  f->size = size + body;
  f->bufs[0] = uv_buf_init((char *)header, (unsigned)size);
  for (int i = 0; i < req->count; i++)
    f->bufs[i + 1] =
        uv_buf_init(req->parts[i].iov_base, (unsigned)req->parts[i].iov_len);
  return f;
}

int tsh_conn_send(tsh_conn *conn, const tsh_request *req, tsh_err *err) {
  const tsh_message *msg = tsh_message_of(req->api_key);
  size_t body = 0;
  for (int i = 0; i < req->count; i++)
    body += req->parts[i].iov_len;
  int status = check_request(conn, req, msg, body, err);
  if (status < 0)
    return status;
  flight *f = new_flight(conn, req, body, req->version >= msg->flexible);
  if (!f)
    return tsh_err_set(err, TSH_NO_MEMORY, "wire", 0, "no memory for %s",
                       msg->name);
  if (conn->last)
    conn->last->next = f;
  else
    conn->first = f;
  conn->last = f;
  conn->in_flight++;
  conn->waiting += f->size;
  tsh_conn__wake_at(conn, f->deadline);
  tsh_conn__pump(conn);
  return 0;
}

int tsh_conn__send_ours(tsh_conn *conn, const tsh_request *req) {
  size_t body = req->parts->iov_len;
  flight *f = new_flight(conn, req, body, false);
  if (!f)
    return TSH_NO_MEMORY;
  f->ours = true;
  flight **at = conn->last_out ? &conn->last_out->next : &conn->first;
  f->next = *at;
  *at = f;
  if (!f->next)
    conn->last = f;
  conn->waiting += f->size;
  tsh_conn__wake_at(conn, f->deadline);
  tsh_conn__pump(conn);
  return 0;
}

bool tsh_conn_failed(const tsh_conn *conn) {
  return conn->state == CONN_FAILED;
}

size_t tsh_conn_in_flight(const tsh_conn *conn) { return conn->in_flight; }

size_t tsh_conn_unsent(const tsh_conn *conn) {
  size_t queued =
      conn->has_socket
          ? uv_stream_get_write_queue_size((const uv_stream_t *)&conn->tcp)
          : 0;
  return conn->waiting + queued + (conn->tls ? tsh_tls__unsent(conn) : 0);
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
  if (!own->socket_buffer)
    own->socket_buffer = DEFAULT_SOCKET_BUFFER;
  if (!own->max_reply)
    own->max_reply = DEFAULT_MAX_REPLY;
  if (!own->timeout_ms)
    own->timeout_ms = DEFAULT_TIMEOUT_MS;
  return 0;
}

static int set_login(tsh_conn *conn, tsh_err *err) {
  if (!tsh_login_keep(conn->options.login))
    return 0;
  int status = tsh_tls__open(conn, err);
  return status == 0 ? tsh_sasl__open(conn, err) : status;
}

void tsh_conn__free(tsh_conn *conn) {
  tsh_tls__free(conn->tls);
  tsh_sasl__free(conn->sasl);
  tsh_login_release(conn->options.login);
  uv_freeaddrinfo(conn->addresses);
  free(conn->text);
  free(conn);
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
  if (!conn) {
    tsh_err_set(err, TSH_NO_MEMORY, "wire", 0, "no memory");
    return NULL;
  }
  if (set_options(conn, options, err) < 0 || set_login(conn, err) < 0) {
    tsh_conn__free(conn);
    return NULL;
  }
  conn->loop = tsh_loop_uv(loop);
  uv_timer_init(conn->loop, &conn->timer);
  conn->timer.data = conn;
  conn->parts = 1;
  conn->low_water = 1;
  if (conn->options.meter)
    atomic_fetch_add(&conn->options.meter->open, 1);
  uv_update_time(conn->loop);
  conn->open_deadline = uv_now(conn->loop) + conn->options.timeout_ms;
  tsh_conn__wake_at(conn, conn->open_deadline);
  tsh_conn__start(conn);
  return conn;
}

void tsh_conn_close(tsh_conn *conn) {
  tsh_err err;
  assert(!conn->closed);
  conn->closed = true;
  if (conn->options.meter)
    atomic_fetch_sub(&conn->options.meter->open, 1);
  tsh_err_set(&err, TSH_CLOSED, "wire", 0, "%s:%u: closed", conn->options.host,
              conn->options.port);
  tsh_conn__stop(conn);
  if (conn->has_lookup)
    uv_cancel((uv_req_t *)&conn->resolving);
  tsh_conn__answer_all(conn, &err);
  if (conn->parts > 0)
    return;
  conn->parts = 1;
  tsh_conn__drop_part(conn);
}
