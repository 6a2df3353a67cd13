/* Sessions and calls: credentials, then the request, and once more with fresh
 * credentials when the server does not take these. */
#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kube_int.h"

enum {
  UNAUTHORIZED = 401,
  MOST_HEADERS = TSH_KUBE__MOST_ARGS + 8,
  LONGEST_URL = 16384,
  LONGEST_HEADER = 1 << 20,
};

struct tsh_kube {
  tsh_loop *loop;
  tsh_http *http;
  tsh_kube__access *access;
  tsh_kube__auth auth;
  char *agent;
  tsh_kube_mode mode;
  tsh_kube_call *calls;
};

struct tsh_kube_call {
  tsh_op op;
  tsh_kube *kube; /* NULL: it was closed */
  tsh_kube_call *next, **at;
  tsh_kube__turn turn;
  bool is_waiting, is_again, is_told;
  tsh_http_call *http;
  tsh_op *wait;
  /* The request, kept for a second time. */
  char *method, *path;
  tsh_buf url, body;
  char *content_type, *accept;
  uint32_t timeout_ms, idle_ms;
  size_t limit;
  bool is_stream;
};

/* Sessions. */

int tsh_kube_open(tsh_kube **out, tsh_loop *loop, const tsh_kube_setup *setup,
                  tsh_err *err) {
  tsh_kube *kube = calloc(1, sizeof *kube);
  int rc;

  if (kube == NULL || (kube->access = calloc(1, sizeof *kube->access)) == NULL)
    abort();
  rc = tsh_kube__access_read(kube->access, setup, err);
  if (rc == 0)
    rc = tsh_http_open(&kube->http, loop, err);
  if (rc != 0) {
    tsh_kube__access_fini(kube->access);
    free(kube->access);
    free(kube);
    return rc;
  }
  kube->loop = loop;
  kube->mode = setup->mode;
  kube->agent = strdup(setup->agent != NULL ? setup->agent : "tranship");
  tsh_kube__auth_init(&kube->auth, loop, kube->access);
  *out = kube;
  return 0;
}

tsh_kube_about tsh_kube_about_of(const tsh_kube *kube) {
  const tsh_kube__access *a = kube->access;

  return (tsh_kube_about){a->server, a->context, a->cluster,
                          a->user,   a->ns,      a->warning};
}

tsh_kube_mode tsh_kube_mode_of(const tsh_kube *kube) { return kube->mode; }

/* The end of a call. */

static void leave(tsh_kube_call *call) {
  if (call->kube == NULL)
    return;
  if (call->is_waiting)
    tsh_kube__auth_leave(&call->kube->auth, &call->turn);
  *call->at = call->next;
  if (call->next != NULL)
    call->next->at = call->at;
  call->kube = NULL;
}

static void finish(tsh_kube_call *call, int status, const tsh_err *err) {
  if (call->is_told)
    return;
  call->is_told = true;
  call->op.status = status;
  if (status != 0)
    call->op.err = *err;
  call->op.done(&call->op);
}

static void drop_wait(tsh_kube_call *call) {
  tsh_op *wait = call->wait;

  call->wait = NULL;
  if (wait != NULL)
    wait->free(wait);
}

static void call_free(tsh_op *op) {
  tsh_kube_call *call = (tsh_kube_call *)op;

  call->is_told = true;
  leave(call);
  tsh_http_free(call->http); /* tells the wait, if there is one */
  drop_wait(call);
  free(call->method);
  free(call->path);
  free(call->content_type);
  free(call->accept);
  tsh_buf_fini(&call->url);
  tsh_buf_wipe(&call->body);
  free(call);
}

static void call_cancel(tsh_op *op) {
  tsh_kube_call *call = (tsh_kube_call *)op;
  tsh_err err;

  if (call->is_told)
    return;
  leave(call);
  tsh_err_set(&err, TSH_CANCELED, "kube", 0, "canceled");
  finish(call, TSH_CANCELED, &err);
}

void tsh_kube_close(tsh_kube *kube) {
  tsh_err err;

  tsh_err_set(&err, TSH_CLOSED, "kube", 0, "the session is closed");
  while (kube->calls != NULL) {
    tsh_kube_call *call = kube->calls;

    leave(call);
    if (call->wait == NULL)
      finish(call, TSH_CLOSED, &err); /* others are told by their transfer */
  }
  tsh_http_close(kube->http);
  tsh_kube__auth_fini(&kube->auth);
  free(kube->agent);
  free(kube);
}

/* Sending. */

/* `name` as it is to stand before the value: "Accept: ". */
static void add(tsh_buf lines[], size_t *count, const char *name,
                const char *value, size_t length) {
  tsh_buf *line = &lines[(*count)++];

  tsh_buf_init(line, LONGEST_HEADER);
  tsh_buf_add_string(line, name);
  tsh_buf_add(line, value, length);
}

static size_t make_headers(tsh_kube_call *call, tsh_buf lines[]) {
  const tsh_kube *kube = call->kube;
  const tsh_kube__access *access = kube->access;
  const tsh_secret *token =
      kube->auth.now.token != NULL ? kube->auth.now.token : access->token;
  const tsh_secret *secret = token != NULL ? token : access->basic;
  size_t count = 0;

  add(lines, &count, "User-Agent: ", kube->agent, strlen(kube->agent));
  add(lines, &count, "Accept: ", call->accept, strlen(call->accept));
  if (call->body.length > 0)
    add(lines, &count, "Content-Type: ", call->content_type,
        strlen(call->content_type));
  if (secret != NULL)
    add(lines, &count,
        token != NULL ? "Authorization: Bearer " : "Authorization: Basic ",
        tsh_secret_bytes((tsh_secret *)secret), tsh_secret_length(secret));
  for (size_t i = 0; access->headers[i] != NULL; i++)
    add(lines, &count, "", access->headers[i], strlen(access->headers[i]));
  return count;
}

static tsh_http_bytes bytes_of(const tsh_secret *secret) {
  if (secret == NULL)
    return (tsh_http_bytes){0};
  return (tsh_http_bytes){tsh_secret_bytes((tsh_secret *)secret),
                          tsh_secret_length(secret)};
}

static void http_done(tsh_op *wait);

static int send_request(tsh_kube_call *call, tsh_err *err) {
  const tsh_kube__access *access = call->kube->access;
  const tsh_kube__credential *now = &call->kube->auth.now;
  tsh_http_peer peer = {
      .ca = {access->ca, access->ca ? strlen(access->ca) : 0},
      .cert = bytes_of(now->cert != NULL ? now->cert : access->cert),
      .key = bytes_of(now->key != NULL ? now->key : access->key),
      .server_name = access->server_name,
      .proxy = access->proxy,
      .insecure = access->insecure};
  tsh_buf lines[MOST_HEADERS];
  const char *headers[MOST_HEADERS + 1];
  size_t count = make_headers(call, lines);
  tsh_http_ask ask = {call->method,     tsh_buf_text(&call->url),
                      headers,          {call->body.data, call->body.length},
                      call->timeout_ms, call->idle_ms,
                      call->limit,      call->is_stream};
  int rc;

  for (size_t i = 0; i < count; i++) {
    headers[i] = tsh_buf_text(&lines[i]);
  }
  headers[count] = NULL;
  rc = tsh_http_start(&call->http, call->kube->http, &peer, &ask, err);
  for (size_t i = 0; i < count; i++)
    tsh_buf_wipe(&lines[i]);
  if (rc != 0)
    return rc;
  call->wait =
      tsh_http_wait(call->http, call->is_stream ? TSH_HTTP_HEAD : TSH_HTTP_END);
  call->wait->done = http_done;
  call->wait->user = call;
  return 0;
}

static void begin(tsh_kube_call *call);

/* What the network does is told with whom it was. */
static void name_server(tsh_err *err, const char *server) {
  char why[sizeof err->message];

  memcpy(why, err->message, sizeof why);
  snprintf(err->message, sizeof err->message, "%.200s: %.300s", server, why);
}

static void http_done(tsh_op *wait) {
  tsh_kube_call *call = wait->user;
  int status = wait->status;
  tsh_err err = wait->err;

  if (call->is_told)
    return; /* the call is being freed */
  drop_wait(call);
  if (status == 0 && call->kube != NULL && !call->is_again &&
      tsh_http_status(call->http) == UNAUTHORIZED &&
      tsh_kube__auth_refused(&call->kube->auth)) {
    call->is_again = true;
    tsh_http_free(call->http);
    call->http = NULL;
    begin(call);
    return;
  }
  if (status != 0 && call->kube != NULL)
    name_server(&err, call->kube->access->server);
  leave(call);
  finish(call, status, &err);
}

static void have_credentials(tsh_kube__turn *turn, int status,
                             const tsh_err *why) {
  tsh_kube_call *call =
      (tsh_kube_call *)((char *)turn - offsetof(tsh_kube_call, turn));
  tsh_err err;

  call->is_waiting = false;
  if (status == 0)
    status = send_request(call, &err);
  else
    err = *why;
  if (status == 0)
    return;
  leave(call);
  finish(call, status, &err);
}

/* From an event: what fails is told at once. */
static void begin(tsh_kube_call *call) {
  call->turn.ready = have_credentials;
  call->is_waiting = tsh_kube__auth_wait(&call->kube->auth, &call->turn);
  if (!call->is_waiting)
    have_credentials(&call->turn, 0, NULL);
}

/* Starting. */

static void escape(tsh_buf *out, const char *text, const char *also) {
  for (; *text != '\0'; text++) {
    unsigned char c = (unsigned char)*text;

    if (isalnum(c) || strchr("-._~", c) != NULL || strchr(also, c) != NULL)
      tsh_buf_add(out, text, 1);
    else
      tsh_buf_format(out, "%%%02X", c);
  }
}

static bool is_plain_path(const char *path) {
  for (const char *at = path; (at = strchr(at, '/')) != NULL; at++) {
    size_t length = strcspn(at + 1, "/");

    if ((length == 1 && at[1] == '.') ||
        (length == 2 && at[1] == '.' && at[2] == '.'))
      return false;
  }
  return path[0] == '/';
}

static int check(const tsh_kube *kube, const tsh_kube_ask *ask, tsh_err *err) {
  tsh_kube_class class = tsh_kube_class_of(ask);

  if (!is_plain_path(ask->path))
    return tsh_err_set(err, TSH_INVALID, "kube", 0,
                       "'%s' is no path of the API", ask->path);
  if (class == TSH_KUBE_READ || kube->mode == TSH_KUBE_MAY_WRITE)
    return 0;
  if (class == TSH_KUBE_DRY && kube->mode == TSH_KUBE_VALIDATES)
    return 0;
  return tsh_err_set(err, TSH_READ_ONLY, "kube", 0,
                     "%s %s changes something, and this session only reads",
                     ask->method, ask->path);
}

static void set_url(tsh_kube_call *call, const tsh_kube_ask *ask) {
  char separator = '?';

  tsh_buf_init(&call->url, LONGEST_URL);
  tsh_buf_add_string(&call->url, call->kube->access->server);
  escape(&call->url, ask->path, "/:@");
  for (const tsh_kube_query *q = ask->query; q != NULL && q->name != NULL;
       q++) {
    tsh_buf_add(&call->url, &separator, 1);
    escape(&call->url, q->name, "");
    tsh_buf_add_string(&call->url, "=");
    escape(&call->url, q->value, "");
    separator = '&';
  }
}

int tsh_kube_start(tsh_kube_call **out, tsh_kube *kube, const tsh_kube_ask *ask,
                   tsh_err *err) {
  tsh_kube_call *call;
  int rc = check(kube, ask, err);

  if (rc != 0)
    return rc;
  call = calloc(1, sizeof *call);
  if (call == NULL)
    abort();
  call->op.free = call_free;
  call->op.cancel = call_cancel;
  call->kube = kube;
  call->next = kube->calls;
  if (call->next != NULL)
    call->next->at = &call->next;
  call->at = &kube->calls;
  kube->calls = call;
  call->method = strdup(ask->method);
  call->path = strdup(ask->path);
  call->content_type =
      strdup(ask->content_type ? ask->content_type : "application/json");
  call->accept = strdup(ask->accept ? ask->accept : "application/json");
  call->timeout_ms = ask->timeout_ms;
  call->idle_ms = ask->idle_ms;
  call->limit = ask->limit;
  call->is_stream = ask->is_stream;
  set_url(call, ask);
  tsh_buf_init(&call->body, SIZE_MAX / 2);
  if (ask->body.data != NULL)
    tsh_buf_add(&call->body, ask->body.data, ask->body.length);
  if (call->url.failed)
    rc =
        tsh_err_set(err, TSH_LIMIT, "kube", 0, "the request's URL is too long");
  call->turn.ready = have_credentials;
  if (rc == 0) {
    call->is_waiting = tsh_kube__auth_wait(&kube->auth, &call->turn);
    if (!call->is_waiting)
      rc = send_request(call, err);
  }
  if (rc != 0)
    call_free(&call->op);
  else
    *out = call;
  return rc;
}

void tsh_kube_free(tsh_kube_call *call) { call_free(&call->op); }

tsh_op *tsh_kube_op(tsh_kube_call *call) { return &call->op; }

const char *tsh_kube_path(const tsh_kube_call *call) { return call->path; }

tsh_http_call *tsh_kube_http(tsh_kube_call *call) { return call->http; }
