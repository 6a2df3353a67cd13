/* libcurl's multi handle on the loop.
 *
 * libcurl says which sockets it wants watched and when it wants to be called;
 * libuv does both. Nothing of ours runs inside libcurl's callbacks: they note
 * news, which are told once libcurl has returned. */
#include "http_int.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>

struct tsh_http {
  tsh_loop *loop;
  CURLM *multi;
  uv_timer_t timer; /* when libcurl wants to be called */
  uv_timer_t soon;  /* news to tell that came outside of an event */
  int handles;      /* of these two still open */
  bool is_closing;
  tsh_http_call *calls;
  tsh_http_call *news, **news_end;
};

/* A socket that libcurl wants watched. */
typedef struct sock {
  uv_poll_t poll;
  tsh_http *http;
  curl_socket_t fd;
} sock;

static void free_data(uv_handle_t *handle) { free(handle->data); }

/* News. */

static void tell_news(tsh_http *http) {
  while (http->news != NULL) {
    tsh_http_call *call = http->news;

    http->news = call->next_news;
    if (http->news == NULL)
      http->news_end = &http->news;
    call->has_news = false;
    tsh_http__tell(call);
  }
}

static void soon_fired(uv_timer_t *timer) { tell_news(timer->data); }

void tsh_http__news(tsh_http_call *call) {
  tsh_http *http = call->http;

  if (call->has_news)
    return;
  call->has_news = true;
  call->next_news = NULL;
  *http->news_end = call;
  http->news_end = &call->next_news;
  uv_timer_start(&http->soon, soon_fired, 0, 0);
}

static void forget_news(tsh_http *http, tsh_http_call *call) {
  tsh_http_call **at = &http->news;

  if (!call->has_news)
    return;
  while (*at != call)
    at = &(*at)->next_news;
  *at = call->next_news;
  if (http->news_end == &call->next_news)
    http->news_end = at;
  call->has_news = false;
}

/* What libcurl finished. */
static void collect(tsh_http *http) {
  CURLMsg *message;
  int left;

  while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
    CURLcode result = message->data.result;
    tsh_http_call *call;

    if (message->msg != CURLMSG_DONE)
      continue;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
    tsh_http__ended(call, result);
    tsh_http__news(call);
  }
  tell_news(http);
}

/* Sockets and timers. */

static void socket_ready(uv_poll_t *poll, int status, int events) {
  sock *s = poll->data;
  tsh_http *http = s->http;
  int flags = 0, running;

  if (status < 0) /* libcurl finds out what it is, and says so */
    flags = CURL_CSELECT_IN | CURL_CSELECT_OUT;
  if (events & UV_READABLE)
    flags |= CURL_CSELECT_IN;
  if (events & UV_WRITABLE)
    flags |= CURL_CSELECT_OUT;
  curl_multi_socket_action(http->multi, s->fd, flags, &running);
  collect(http);
}

static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *user,
                         void *known) {
  tsh_http *http = user;
  sock *s = known;
  int events = 0;

  (void)easy;
  if (what == CURL_POLL_REMOVE) {
    curl_multi_assign(http->multi, fd, NULL);
    if (s != NULL)
      uv_close((uv_handle_t *)&s->poll, free_data);
    return 0;
  }
  if (s == NULL) {
    s = calloc(1, sizeof *s);
    if (s == NULL ||
        uv_poll_init_socket(tsh_loop_uv(http->loop), &s->poll, fd) != 0) {
      free(s);
      return -1;
    }
    s->poll.data = s;
    s->http = http;
    s->fd = fd;
    curl_multi_assign(http->multi, fd, s);
  }
  if (what & CURL_POLL_IN)
    events |= UV_READABLE;
  if (what & CURL_POLL_OUT)
    events |= UV_WRITABLE;
  uv_poll_start(&s->poll, events, socket_ready);
  return 0;
}

static void timer_fired(uv_timer_t *timer) {
  tsh_http *http = timer->data;
  int running;

  curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  collect(http);
}

static int timer_wanted(CURLM *multi, long delay_ms, void *user) {
  tsh_http *http = user;

  (void)multi;
  if (delay_ms < 0) {
    uv_timer_stop(&http->timer);
    return 0;
  }
  uv_update_time(tsh_loop_uv(http->loop));
  uv_timer_start(&http->timer, timer_fired, (uint64_t)delay_ms, 0);
  return 0;
}

/* Calls in the pool. */

int tsh_http__add(tsh_http *http, tsh_http_call *call, tsh_err *err) {
  if (curl_multi_add_handle(http->multi, call->easy) != CURLM_OK)
    return tsh_err_set(err, TSH_NO_MEMORY, "http", 0, "no memory");
  call->http = http;
  call->next = http->calls;
  if (call->next != NULL)
    call->next->at = &call->next;
  call->at = &http->calls;
  http->calls = call;
  return 0;
}

void tsh_http__remove(tsh_http_call *call) {
  tsh_http *http = call->http;

  if (http == NULL)
    return;
  forget_news(http, call);
  curl_multi_remove_handle(http->multi, call->easy);
  *call->at = call->next;
  if (call->next != NULL)
    call->next->at = call->at;
  call->http = NULL;
}

/* Life of a pool. */

int tsh_http_open(tsh_http **out, tsh_loop *loop, tsh_err *err) {
  tsh_http *http;
  int rc = tsh_http__load_curl(err);

  if (rc != 0)
    return rc;
  http = calloc(1, sizeof *http);
  if (http == NULL || (http->multi = curl_multi_init()) == NULL) {
    free(http);
    return tsh_err_set(err, TSH_NO_MEMORY, "http", 0, "no memory");
  }
  http->loop = loop;
  http->news_end = &http->news;
  curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
  curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
  curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
  curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
  uv_timer_init(tsh_loop_uv(loop), &http->timer);
  uv_timer_init(tsh_loop_uv(loop), &http->soon);
  http->timer.data = http->soon.data = http;
  http->handles = 2;
  *out = http;
  return 0;
}

static void handle_closed(uv_handle_t *handle) {
  tsh_http *http = handle->data;

  if (--http->handles == 0)
    free(http);
}

void tsh_http_close(tsh_http *http) {
  assert(!http->is_closing);
  http->is_closing = true;
  while (http->calls != NULL) {
    tsh_http_call *call = http->calls;

    tsh_http__remove(call);
    if (!call->is_ended)
      call->status = tsh_err_set(&call->err, TSH_CLOSED, "http", 0,
                                 "the client is closed");
    call->is_ended = true;
    call->is_paused = false;
    tsh_http__tell(call);
  }
  curl_multi_cleanup(http->multi);
  uv_close((uv_handle_t *)&http->timer, handle_closed);
  uv_close((uv_handle_t *)&http->soon, handle_closed);
}
