/* One HTTP call: its transfer, what came of it, and who waits for it. */
#include "http_int.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
  HIGH_WATER = 1 << 20, /* bytes of a stream not taken yet: the peer waits */
  LARGEST_HEAD = 1 << 18,
  CONNECT_MS = 15000,
  FIRST_FINAL = 200, /* statuses below it announce the real one */
};

typedef struct wait {
  tsh_op op;
  tsh_http_call *call; /* NULL: told already */
  tsh_http_event event;
  struct wait *next;
} wait;

/* Waiting. */

static bool find_line(tsh_http_call *call) {
  const char *end;

  if (call->line_end != 0)
    return true;
  if (call->scanned < call->from)
    call->scanned = call->from;
  if (call->scanned == call->body.length)
    return false;
  end = memchr(call->body.data + call->scanned, '\n',
               call->body.length - call->scanned);
  if (end == NULL) {
    call->scanned = call->body.length;
    return false;
  }
  call->line_end = (size_t)(end - call->body.data) + 1;
  call->scanned = call->line_end;
  return true;
}

static bool has_come(tsh_http_call *call, tsh_http_event event, int *status) {
  *status = 0;
  if (event == TSH_HTTP_HEAD && call->has_head)
    return true;
  if (event == TSH_HTTP_LINE && find_line(call))
    return true;
  *status = call->status;
  return call->is_ended;
}

static void tell(wait *w, int status) {
  w->op.status = status;
  if (status != 0)
    w->op.err = w->call->err;
  w->call = NULL;
  w->op.done(&w->op);
}

/* Whoever is told may start, end and free calls, this one too. */
void tsh_http__tell(tsh_http_call *call) {
  wait **at = &call->waits;

  while (*at != NULL) {
    wait *w = *at;
    int status;

    if (!has_come(call, w->event, &status)) {
      at = &w->next;
      continue;
    }
    *at = w->next;
    if (call->waits == NULL) {
      tell(w, status); /* the last one: the call may be gone behind it */
      return;
    }
    tell(w, status);
    at = &call->waits;
  }
}

static void cancel_wait(tsh_op *op) {
  wait *w = (wait *)op;
  wait **at;

  if (w->call == NULL)
    return;
  for (at = &w->call->waits; *at != w; at = &(*at)->next)
    continue;
  *at = w->next;
  w->call = NULL;
  op->status = tsh_err_set(&op->err, TSH_CANCELED, "http", 0, "canceled");
  op->done(op);
}

static void free_wait(tsh_op *op) { free(op); }

tsh_op *tsh_http_wait(tsh_http_call *call, tsh_http_event event) {
  wait *w = calloc(1, sizeof *w), **at = &call->waits;

  if (w == NULL)
    abort();
  w->op.cancel = cancel_wait;
  w->op.free = free_wait;
  w->call = call;
  w->event = event;
  while (*at != NULL)
    at = &(*at)->next;
  *at = w;
  if (call->http != NULL)
    tsh_http__news(call);
  return &w->op;
}

/* How a transfer ended. */

static tsh_kind kind_of(CURLcode result) {
  switch (result) {
    case CURLE_OPERATION_TIMEDOUT:
      return TSH_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
      return TSH_UNAVAILABLE;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return TSH_CLOSED;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
      return TSH_AUTH;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return TSH_INVALID;
    case CURLE_OUT_OF_MEMORY:
      return TSH_NO_MEMORY;
    default:
      return TSH_PROTOCOL;
  }
}

void tsh_http__ended(tsh_http_call *call, CURLcode result) {
  const char *why = call->why[0] ? call->why : curl_easy_strerror(result);
  tsh_kind kind = result == CURLE_OK ? TSH_OK : kind_of(result);

  call->is_ended = true;
  call->is_paused = false;
  if (call->status != 0 || result == CURLE_OK)
    return; /* the write callback knew better, or all is well */
  if (strstr(why, "HTTP/0.9") != NULL)
    kind = TSH_PROTOCOL;
  if (result == CURLE_SEND_FAIL_REWIND)
    why = "the connection was lost before an answer came";
  call->status = tsh_err_set(&call->err, kind, "http", (int)result, "%.*s",
                             (int)strcspn(why, "\r\n"), why);
  call->err.retriable = kind == TSH_UNAVAILABLE;
}

/* What libcurl hands over. */

static size_t on_header(char *bytes, size_t size, size_t count, void *user) {
  tsh_http_call *call = user;
  size_t length = size * count;
  long status;

  if (length > 5 && strncmp(bytes, "HTTP/", 5) == 0) {
    tsh_buf_fini(&call->head);
    call->has_head = false;
  }
  tsh_buf_add(&call->head, bytes, length);
  if (call->head.failed)
    return 0;
  if (length <= 2) { /* the empty line */
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status >= FIRST_FINAL) {
      call->has_head = true;
      tsh_http__news(call);
    }
  }
  return length;
}

static size_t too_long(tsh_http_call *call) {
  call->status = tsh_err_set(
      &call->err, TSH_LIMIT, "http", 0, "%s is longer than %zu bytes",
      call->is_stream ? "a line of the answer" : "the answer", call->limit);
  return 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *user) {
  tsh_http_call *call = user;
  size_t length = size * count;

  if (call->is_stream && call->body.length - call->from > HIGH_WATER &&
      find_line(call)) {
    call->is_paused = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  tsh_buf_add(&call->body, bytes, length);
  if (call->body.failed)
    return too_long(call);
  if (call->is_stream) {
    if (find_line(call))
      tsh_http__news(call);
    else if (call->body.length - call->from > call->limit)
      return too_long(call);
  }
  return length;
}

/* Starting. */

static void set_blob(CURL *easy, CURLoption option, tsh_http_bytes bytes) {
  struct curl_blob blob = {(void *)bytes.data, bytes.length, CURL_BLOB_COPY};

  if (bytes.data != NULL)
    curl_easy_setopt(easy, option, &blob);
}

/* "https://host:port/..." to "name" and "name:port:host:port": the host of the
 * URL becomes the name that the certificate is held against. */
static char *renamed(tsh_http_call *call, const char *url, const char *name) {
  CURLU *parts = curl_url();
  char *host = NULL, *port = NULL, *out = NULL;
  tsh_buf line;

  tsh_buf_init(&line, 4096);
  if (curl_url_set(parts, CURLUPART_URL, url, 0) == 0 &&
      curl_url_get(parts, CURLUPART_HOST, &host, 0) == 0 &&
      curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == 0) {
    tsh_buf_format(&line, "%s:%s:%s:%s", name, port, host, port);
    call->connect_to = curl_slist_append(NULL, tsh_buf_text(&line));
    tsh_buf_fini(&line);
    tsh_buf_format(&line, "Host: %s:%s", host, port);
    call->headers = curl_slist_append(call->headers, tsh_buf_text(&line));
    curl_url_set(parts, CURLUPART_HOST, name, 0);
    curl_url_get(parts, CURLUPART_URL, &out, 0);
  }
  tsh_buf_fini(&line);
  curl_free(host);
  curl_free(port);
  curl_url_cleanup(parts);
  return out;
}

static bool is_loopback(const char *url) {
  const char *host = strstr(url, "://");

  host = host != NULL ? host + 3 : url;
  return strncmp(host, "127.", 4) == 0 || strncmp(host, "[::1]", 5) == 0 ||
         strncmp(host, "localhost:", 10) == 0 ||
         strncmp(host, "localhost/", 10) == 0;
}

static void set_peer(tsh_http_call *call, const tsh_http_peer *peer,
                     const char *url) {
  CURL *easy = call->easy;

  if (peer->ca.data != NULL) {
    set_blob(easy, CURLOPT_CAINFO_BLOB, peer->ca);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* else it adds to these */
  }
  set_blob(easy, CURLOPT_SSLCERT_BLOB, peer->cert);
  set_blob(easy, CURLOPT_SSLKEY_BLOB, peer->key);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, peer->insecure ? 0L : 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, peer->insecure ? 0L : 2L);
  if (peer->proxy != NULL)
    curl_easy_setopt(easy, CURLOPT_PROXY, peer->proxy);
  else if (is_loopback(url))
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
}

static size_t on_send(char *bytes, size_t size, size_t count, void *user) {
  tsh_http_call *call = user;
  size_t left = call->sent.length - call->sent_at, length = size * count;

  if (length > left)
    length = left;
  memcpy(bytes, call->sent.data + call->sent_at, length);
  call->sent_at += length;
  return length;
}

static int on_rewind(void *user, curl_off_t offset, int origin) {
  (void)user;
  (void)offset;
  (void)origin;
  return CURL_SEEKFUNC_FAIL;
}

/* libcurl sends a request again by itself when a connection that it had used
 * before is lost without an answer, whatever the method. A body that it cannot
 * take from its start again keeps it from doing a thing twice. */
static void set_body(tsh_http_call *call, const tsh_http_ask *ask) {
  CURL *easy = call->easy;

  tsh_buf_add(&call->sent, ask->body.data, ask->body.length);
  curl_easy_setopt(easy, CURLOPT_POST, 1L);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                   (curl_off_t)call->sent.length);
  curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send);
  curl_easy_setopt(easy, CURLOPT_READDATA, call);
  curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_rewind);
}

static void set_ask(tsh_http_call *call, const tsh_http_ask *ask) {
  CURL *easy = call->easy;

  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
  curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, ask->method);
  if (strcmp(ask->method, "HEAD") == 0)
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  if (ask->body.data != NULL)
    set_body(call, ask);
  else if (strcmp(ask->method, "GET") != 0 && strcmp(ask->method, "HEAD") != 0)
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L); /* for the same end */
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)ask->timeout_ms);
  if (ask->idle_ms > 0) {
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
                     (long)(ask->idle_ms + 999) / 1000);
  }
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->why);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
}

int tsh_http_start(tsh_http_call **out, tsh_http *http,
                   const tsh_http_peer *peer, const tsh_http_ask *ask,
                   tsh_err *err) {
  tsh_http_call *call = calloc(1, sizeof *call);
  char *url = NULL;
  int rc;

  if (call == NULL || (call->easy = curl_easy_init()) == NULL) {
    free(call);
    return tsh_err_set(err, TSH_NO_MEMORY, "http", 0, "no memory");
  }
  call->is_stream = ask->is_stream;
  call->limit = ask->limit;
  tsh_buf_init(&call->body,
               ask->is_stream ? 2 * ask->limit + 4 * HIGH_WATER : ask->limit);
  tsh_buf_init(&call->head, LARGEST_HEAD);
  tsh_buf_init(&call->sent, SIZE_MAX / 2);
  for (size_t i = 0; ask->headers != NULL && ask->headers[i] != NULL; i++)
    call->headers = curl_slist_append(call->headers, ask->headers[i]);
  if (ask->body.data != NULL) /* no waiting for permission to send a body */
    call->headers = curl_slist_append(call->headers, "Expect:");
  set_ask(call, ask);
  set_peer(call, peer, ask->url);
  if (peer->server_name != NULL)
    url = renamed(call, ask->url, peer->server_name);
  curl_easy_setopt(call->easy, CURLOPT_URL, url != NULL ? url : ask->url);
  curl_free(url);
  curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
  curl_easy_setopt(call->easy, CURLOPT_CONNECT_TO, call->connect_to);
  rc = tsh_http__add(http, call, err);
  if (rc != 0)
    tsh_http_free(call);
  else
    *out = call;
  return rc;
}

void tsh_http_free(tsh_http_call *call) {
  if (call == NULL)
    return;
  tsh_http__remove(call);
  if (!call->is_ended) {
    call->is_ended = true;
    call->status =
        tsh_err_set(&call->err, TSH_CLOSED, "http", 0, "the call was given up");
  }
  while (call->waits != NULL) {
    wait *w = call->waits;

    call->waits = w->next;
    tell(w, call->status ? call->status : TSH_CLOSED);
  }
  curl_easy_cleanup(call->easy);
  for (struct curl_slist *at = call->headers; at != NULL; at = at->next)
    explicit_bzero(at->data, strlen(at->data));
  curl_slist_free_all(call->headers);
  curl_slist_free_all(call->connect_to);
  tsh_buf_wipe(&call->body);
  tsh_buf_wipe(&call->head);
  tsh_buf_wipe(&call->sent);
  free(call);
}

/* What came. */

int tsh_http_status(const tsh_http_call *call) {
  long status = 0;

  curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
  return (int)status;
}

const char *tsh_http_header(const tsh_http_call *call, const char *name,
                            size_t index) {
  struct curl_header *header;

  if (curl_easy_header(call->easy, name, index, CURLH_HEADER, -1, &header) !=
      CURLHE_OK)
    return NULL;
  return header->value;
}

tsh_http_bytes tsh_http_body(const tsh_http_call *call) {
  return (tsh_http_bytes){tsh_buf_text(&call->body) + call->from,
                          call->body.length - call->from};
}

/* Bytes that were taken go once they are most of the buffer. */
static void tidy(tsh_http_call *call) {
  if (call->from < HIGH_WATER / 4 || call->from < call->body.length / 2)
    return;
  tsh_buf_consume(&call->body, call->from);
  call->scanned -= call->from;
  call->from = 0;
}

bool tsh_http_line(tsh_http_call *call, tsh_http_bytes *out) {
  if (call->line_end == 0)
    tidy(call);
  if (call->is_paused && call->body.length - call->from < HIGH_WATER / 2) {
    call->is_paused = false;
    curl_easy_pause(call->easy, CURLPAUSE_CONT);
  }
  if (!find_line(call))
    return false;
  out->data = call->body.data + call->from;
  out->length = call->line_end - call->from - 1;
  if (out->length > 0 && out->data[out->length - 1] == '\r')
    out->length--;
  call->from = call->line_end;
  call->line_end = 0;
  return true;
}
