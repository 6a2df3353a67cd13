/* Feeds of signals and of changes to a file or folder. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "feed_int.h"

/* Signals: one libuv handle each. */

enum { MOST_SIGNALS = 8 };

typedef struct signals {
  tsh_feed feed;
  int count, open;
  uv_signal_t handles[MOST_SIGNALS];
} signals;

static void came(uv_signal_t *handle, int number) {
  signals *s = handle->data;

  tsh_feed__push(&s->feed, sigabbrev_np(number), strlen(sigabbrev_np(number)));
}

static void signal_closed(uv_handle_t *handle) {
  signals *s = handle->data;

  if (--s->open == 0)
    tsh_feed__free(&s->feed);
}

static void signals_stop(tsh_feed *feed) {
  signals *s = (signals *)feed;

  for (int i = 0; i < s->count; i++)
    uv_close((uv_handle_t *)&s->handles[i], signal_closed);
}

int tsh_feed_signals(tsh_feed **out, tsh_loop *loop, const int *numbers,
                     tsh_err *err) {
  signals *s = tsh_feed__new(loop, sizeof *s);
  int rc = 0;

  s->feed.stop = signals_stop;
  for (; *numbers != 0 && rc == 0 && s->count < MOST_SIGNALS; numbers++) {
    uv_signal_t *handle = &s->handles[s->count++];

    s->open++;
    uv_signal_init(tsh_loop_uv(loop), handle);
    handle->data = s;
    rc = uv_signal_start(handle, came, *numbers);
  }
  if (rc == 0 && s->count > 0) {
    *out = &s->feed;
    return 0;
  }
  if (s->count > 0)
    signals_stop(&s->feed);
  else
    tsh_feed__free(&s->feed);
  return rc != 0 ? tsh_err_errno(err, -rc, "listen for signals")
                 : tsh_err_set(err, TSH_INVALID, "sys", 0, "no signals named");
}

/* Watching: inotify through libuv. */

typedef struct watch {
  tsh_feed feed;
  uv_fs_event_t handle;
} watch;

static void changed(uv_fs_event_t *handle, const char *name, int events,
                    int status) {
  watch *w = handle->data;

  (void)events;
  if (status < 0)
    tsh_feed__end(&w->feed);
  else
    tsh_feed__push_news(&w->feed, name != NULL ? name : "");
}

static void watch_closed(uv_handle_t *handle) {
  tsh_feed__free(&((watch *)handle->data)->feed);
}

static void watch_stop(tsh_feed *feed) {
  uv_close((uv_handle_t *)&((watch *)feed)->handle, watch_closed);
}

int tsh_feed_watch(tsh_feed **out, tsh_loop *loop, const char *path,
                   tsh_err *err) {
  watch *w = tsh_feed__new(loop, sizeof *w);
  int rc;

  w->feed.stop = watch_stop;
  uv_fs_event_init(tsh_loop_uv(loop), &w->handle);
  w->handle.data = w;
  rc = uv_fs_event_start(&w->handle, changed, path, 0);
  if (rc != 0) {
    watch_stop(&w->feed);
    return tsh_err_errno(err, -rc, "watch %s", path);
  }
  *out = &w->feed;
  return 0;
}
