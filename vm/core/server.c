/* The HTTP server. A connection is read until a head is complete, then paused
 * until that request has been answered; so one client can never have more
 * than one request and one bounded buffer here. */
#include "tranship/server.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "feed_int.h"

enum {
  MOST_CONNECTIONS = 32,
  LONGEST_HEAD = 8192, /* bytes */
  BACKLOG = 16,
  TIMEOUT_MS = 10000,
  CHUNK = 4096
};

typedef struct connection connection;

struct connection {
  connection *next;
  tsh_server *server;
  uv_tcp_t tcp;
  uv_timer_t timer;
  int handles; /* still to be closed */
  uint64_t id; /* of the request that waits for its answer, or 0 */
  bool is_head, is_last, is_closing;
  tsh_buf in;
  char chunk[CHUNK];
};

struct tsh_server {
  tsh_feed feed;
  uv_tcp_t listener;
  bool is_open; /* the listener's handle */
  bool is_stopping;
  uint32_t timeout_ms;
  uint16_t port;
  uint64_t last_id;
  unsigned count;
  connection *connections;
};

typedef struct answer {
  uv_write_t write;
  connection *to;
  tsh_buf bytes;
} answer;

static void take_request(connection *c);

/* --- the end of things --- */

static void free_if_over(tsh_server *server) {
  if (server->is_stopping && !server->is_open && server->connections == NULL)
    tsh_feed__free(&server->feed);
}

static void connection_closed(uv_handle_t *handle) {
  connection *c = handle->data, **at;
  tsh_server *server = c->server;

  if (--c->handles > 0)
    return;
  for (at = &server->connections; *at != c; at = &(*at)->next)
    ;
  *at = c->next;
  server->count--;
  tsh_buf_fini(&c->in);
  free(c);
  free_if_over(server);
}

static void end_connection(connection *c) {
  if (c->is_closing)
    return;
  c->is_closing = true;
  c->id = 0;
  uv_close((uv_handle_t *)&c->tcp, connection_closed);
  uv_close((uv_handle_t *)&c->timer, connection_closed);
}

static void listener_closed(uv_handle_t *handle) {
  tsh_server *server = handle->data;

  server->is_open = false;
  free_if_over(server);
}

static void server_stop(tsh_feed *feed) {
  tsh_server *server = (tsh_server *)feed;

  server->is_stopping = true;
  for (connection *c = server->connections; c != NULL; c = c->next)
    end_connection(c);
  uv_close((uv_handle_t *)&server->listener, listener_closed);
}

/* --- answers --- */

static const char *phrase(int status) {
  static const struct {
    int status;
    const char *text;
  } known[] = {{200, "OK"},
               {400, "Bad Request"},
               {404, "Not Found"},
               {405, "Method Not Allowed"},
               {413, "Content Too Large"},
               {431, "Request Header Fields Too Large"},
               {500, "Internal Server Error"},
               {503, "Service Unavailable"},
               {505, "HTTP Version Not Supported"}};

  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (known[i].status == status)
      return known[i].text;
  return "Unknown";
}

static void set_timer(connection *c);

static void written(uv_write_t *write, int status) {
  answer *a = write->data;
  connection *c = a->to;

  tsh_buf_fini(&a->bytes);
  free(a);
  if (c->is_closing)
    return;
  if (status < 0 || c->is_last) {
    end_connection(c);
    return;
  }
  set_timer(c);
  take_request(c); /* it may lie there already */
}

static void send_answer(connection *c, int status, const char *type,
                        const char *body, size_t length) {
  answer *a = calloc(1, sizeof *a);
  uv_buf_t buf;

  if (a == NULL) {
    end_connection(c);
    return;
  }
  tsh_buf_init(&a->bytes, SIZE_MAX / 2);
  tsh_buf_format(&a->bytes,
                 "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n"
                 "Content-Length: %zu\r\nCache-Control: no-store\r\n%s%s\r\n",
                 status, phrase(status), type, length,
                 status == 405 ? "Allow: GET, HEAD\r\n" : "",
                 c->is_last ? "Connection: close\r\n" : "");
  if (!c->is_head)
    tsh_buf_add(&a->bytes, body, length);
  a->to = c;
  a->write.data = a;
  c->id = 0;
  buf = uv_buf_init(a->bytes.data, (unsigned)a->bytes.length);
  set_timer(c);
  if (a->bytes.failed ||
      uv_write(&a->write, (uv_stream_t *)&c->tcp, &buf, 1, written) != 0) {
    tsh_buf_fini(&a->bytes);
    free(a);
    end_connection(c);
  }
}

static void refuse(connection *c, int status) {
  char text[64];
  int length = snprintf(text, sizeof text, "%s\n", phrase(status));

  c->is_last = true;
  send_answer(c, status, "text/plain; charset=utf-8", text, (size_t)length);
}

bool tsh_server_answer(tsh_server *server, uint64_t id, int status,
                       const char *type, const char *body, size_t length) {
  for (connection *c = server->connections; c != NULL; c = c->next) {
    if (c->id == id && !c->is_closing) {
      send_answer(c, status, type, body, length);
      return true;
    }
  }
  return false;
}

/* --- requests --- */

/* The value of header `name` in a head whose lines end with \r\n, or NULL;
 * what follows the value is the caller's business. */
static const char *header(const char *head, const char *name) {
  size_t length = strlen(name);

  for (const char *line = strstr(head, "\r\n"); line != NULL;
       line = strstr(line, "\r\n")) {
    line += 2;
    if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
      line += length + 1;
      return line + strspn(line, " \t");
    }
  }
  return NULL;
}

static bool says(const char *value, const char *word) {
  return value != NULL && strncasecmp(value, word, strlen(word)) == 0;
}

/* "GET /path?query HTTP/1.1": a status to refuse it with, or 0. */
static int read_head(connection *c, char *head, char **method, char **path) {
  char *version, *end = strstr(head, "\r\n");
  const char *length = header(head, "Content-Length");
  const char *keep = header(head, "Connection");

  if (strlen(head) != c->in.length)
    return 400; /* a zero byte */
  if ((length != NULL && !says(length, "0\r\n")) ||
      header(head, "Transfer-Encoding") != NULL)
    return 413;
  *end = '\0';
  *method = head;
  *path = strchr(head, ' ');
  version = *path != NULL ? strchr(*path + 1, ' ') : NULL;
  if (version == NULL)
    return 400;
  *(*path)++ = '\0';
  *version++ = '\0';
  if (strncmp(version, "HTTP/1.", 7) != 0)
    return 505;
  c->is_last = says(keep, "close") ||
               (strcmp(version, "HTTP/1.0") == 0 && !says(keep, "keep-alive"));
  c->is_head = strcmp(*method, "HEAD") == 0;
  (*path)[strcspn(*path, "?")] = '\0';
  for (const char *p = *path; *p != '\0'; p++)
    if (!isgraph((unsigned char)*p))
      return 400;
  if (**path != '/')
    return 400;
  return c->is_head || strcmp(*method, "GET") == 0 ? 0 : 405;
}

static void readable(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

static void give_chunk(uv_handle_t *handle, size_t wanted, uv_buf_t *buf) {
  connection *c = handle->data;

  (void)wanted;
  *buf = uv_buf_init(c->chunk, CHUNK);
}

/* Hands on the request that has come whole, or waits for the rest of it. */
static void take_request(connection *c) {
  const char *end =
      c->in.length > 0 ? strstr(tsh_buf_text(&c->in), "\r\n\r\n") : NULL;
  char *method, *path;
  size_t size;
  tsh_buf item, rest;
  int status;

  if (end == NULL) {
    if (c->in.failed || c->in.length >= LONGEST_HEAD)
      refuse(c, 431);
    else if (memchr(tsh_buf_text(&c->in), '\0', c->in.length) != NULL)
      refuse(c, 400);
    else
      uv_read_start((uv_stream_t *)&c->tcp, give_chunk, readable);
    return;
  }
  uv_read_stop((uv_stream_t *)&c->tcp);
  size = (size_t)(end - c->in.data) + 4;
  tsh_buf_init(&rest, LONGEST_HEAD + CHUNK);
  tsh_buf_add(&rest, c->in.data + size, c->in.length - size);
  c->in.length = size;
  c->in.data[size] = '\0';
  status = read_head(c, c->in.data, &method, &path);
  if (status != 0) {
    refuse(c, status);
  } else {
    c->id = ++c->server->last_id;
    tsh_buf_init(&item, LONGEST_HEAD + CHUNK);
    tsh_buf_format(&item, "%llu %s %s", (unsigned long long)c->id, method,
                   path);
    tsh_feed__push(&c->server->feed, tsh_buf_text(&item), item.length);
    tsh_buf_fini(&item);
  }
  tsh_buf_fini(&c->in);
  c->in = rest;
}

static void readable(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  connection *c = stream->data;

  if (n < 0)
    end_connection(c);
  if (n <= 0)
    return;
  tsh_buf_add(&c->in, buf->base, (size_t)n);
  uv_read_stop(stream);
  take_request(c);
}

/* --- connections --- */

static void timed_out(uv_timer_t *timer) { end_connection(timer->data); }

static void set_timer(connection *c) {
  uv_timer_start(&c->timer, timed_out, c->server->timeout_ms, 0);
}

/* Too many at once: the client is let in only to be sent away, since what is
 * not accepted would be announced for ever. */
static void arrived(uv_stream_t *listener, int status) {
  tsh_server *server = listener->data;
  connection *c = status < 0 ? NULL : calloc(1, sizeof *c);

  if (c == NULL)
    return;
  c->server = server;
  c->handles = 2;
  c->next = server->connections;
  server->connections = c;
  server->count++;
  tsh_buf_init(&c->in, LONGEST_HEAD + CHUNK);
  uv_tcp_init(listener->loop, &c->tcp);
  uv_timer_init(listener->loop, &c->timer);
  c->tcp.data = c->timer.data = c;
  if (uv_accept(listener, (uv_stream_t *)&c->tcp) != 0) {
    end_connection(c);
  } else if (server->count > MOST_CONNECTIONS) {
    refuse(c, 503);
  } else {
    set_timer(c);
    take_request(c);
  }
}

static int read_address(const char *host, uint16_t port,
                        struct sockaddr_storage *out) {
  if (strcmp(host, "localhost") == 0)
    host = "127.0.0.1";
  if (strchr(host, ':') != NULL)
    return uv_ip6_addr(host, port, (struct sockaddr_in6 *)out);
  return uv_ip4_addr(host, port, (struct sockaddr_in *)out);
}

int tsh_server_open(tsh_server **out, tsh_loop *loop, const char *host,
                    uint16_t port, uint32_t timeout_ms, tsh_err *err) {
  tsh_server *server = tsh_feed__new(loop, sizeof *server);
  struct sockaddr_storage address = {0};
  int length = sizeof address, rc;

  server->feed.stop = server_stop;
  server->timeout_ms = timeout_ms != 0 ? timeout_ms : TIMEOUT_MS;
  server->is_open = true;
  uv_tcp_init(tsh_loop_uv(loop), &server->listener);
  server->listener.data = server;
  rc = read_address(host, port, &address);
  if (rc == 0)
    rc = uv_tcp_bind(&server->listener, (struct sockaddr *)&address, 0);
  if (rc == 0)
    rc = uv_listen((uv_stream_t *)&server->listener, BACKLOG, arrived);
  if (rc == 0)
    rc = uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address,
                            &length);
  if (rc != 0) {
    server_stop(&server->feed);
    return tsh_err_errno(err, -rc, "listen on %s:%u", host, port);
  }
  server->port = ntohs(address.ss_family == AF_INET6
                           ? ((struct sockaddr_in6 *)&address)->sin6_port
                           : ((struct sockaddr_in *)&address)->sin_port);
  *out = server;
  return 0;
}

uint16_t tsh_server_port(const tsh_server *server) { return server->port; }

tsh_feed *tsh_server_feed(tsh_server *server) { return &server->feed; }
