/* Credentials that change: a token's file is read again when it changed, a
 * plugin is run again when its answer expires or the server refuses it. One
 * plugin runs at a time; calls wait for it. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "kube_int.h"

enum { EARLY_S = 10 }; /* what expires this soon has expired */

typedef struct renewal {
  tsh_work work;
  tsh_kube__auth *auth; /* NULL: nobody waits any more */
  tsh_kube__access *access;
  tsh_kube__credential found;
  tsh_kube__turn *turns;
} renewal;

void tsh_kube__credential_fini(tsh_kube__credential *credential) {
  tsh_secret_free(credential->token);
  tsh_secret_free(credential->cert);
  tsh_secret_free(credential->key);
  memset(credential, 0, sizeof *credential);
}

void tsh_kube__auth_init(tsh_kube__auth *auth, tsh_loop *loop,
                         const tsh_kube__access *access) {
  memset(auth, 0, sizeof *auth);
  auth->loop = loop;
  auth->access = access;
}

/* Token files. What could be read last stays when it cannot be read now. */

static void read_token_file(tsh_kube__auth *auth) {
  const char *path = auth->access->token_file;
  tsh_secret *token = NULL;
  struct stat found;
  tsh_buf text;
  size_t length;

  if (path == NULL || stat(path, &found) != 0)
    return;
  if (auth->now.token != NULL && found.st_ino == auth->file_id &&
      memcmp(&found.st_mtim, &auth->file_changed, sizeof found.st_mtim) == 0)
    return;
  tsh_buf_init(&text, TSH_KUBE__LARGEST_FILE);
  if (tsh_kube__read_file(path, &text, NULL) == 0) {
    length = strcspn(tsh_buf_text(&text), " \t\r\n");
    if (length > 0 && tsh_kube__secret(&token, text.data, length, NULL) == 0) {
      tsh_secret_free(auth->now.token);
      auth->now.token = token;
      auth->file_id = found.st_ino;
      auth->file_changed = found.st_mtim;
    }
  }
  tsh_buf_wipe(&text);
}

/* Plugins. */

static int renewal_run(tsh_work *work) {
  renewal *r = (renewal *)work;

  return tsh_kube__exec_run(r->access, &r->found, &work->op.err);
}

static void renewal_free(renewal *r) {
  tsh_kube__credential_fini(&r->found);
  free(r);
}

static void renewal_done(tsh_op *op) {
  renewal *r = (renewal *)op;
  int status = op->status;
  tsh_err err = op->err;

  if (r->auth == NULL) {
    tsh_kube__access_fini(r->access);
    free(r->access);
    renewal_free(r);
    return;
  }
  r->auth->renewal = NULL;
  if (status == 0) {
    tsh_kube__credential_fini(&r->auth->now);
    r->auth->now = r->found;
    memset(&r->found, 0, sizeof r->found);
  }
  while (r->turns != NULL) {
    tsh_kube__turn *turn = r->turns;

    r->turns = turn->next;
    turn->ready(turn, status, &err);
  }
  renewal_free(r);
}

static bool is_fresh(const tsh_kube__auth *auth) {
  if (auth->now.token == NULL && auth->now.cert == NULL)
    return false;
  return auth->now.expires == 0 ||
         (int64_t)time(NULL) + EARLY_S < auth->now.expires;
}

bool tsh_kube__auth_wait(tsh_kube__auth *auth, tsh_kube__turn *turn) {
  renewal *r = auth->renewal;

  if (auth->access->exec.command == NULL) {
    read_token_file(auth);
    return false;
  }
  if (is_fresh(auth))
    return false;
  if (r == NULL) {
    r = calloc(1, sizeof *r);
    if (r == NULL)
      abort();
    r->auth = auth;
    r->access = (tsh_kube__access *)auth->access;
    r->work.run = renewal_run;
    r->work.op.done = renewal_done;
    auth->renewal = r;
    tsh_work_start(auth->loop, &r->work);
  }
  turn->next = r->turns;
  r->turns = turn;
  return true;
}

void tsh_kube__auth_leave(tsh_kube__auth *auth, tsh_kube__turn *turn) {
  tsh_kube__turn **at;

  if (auth->renewal == NULL)
    return;
  for (at = &auth->renewal->turns; *at != NULL; at = &(*at)->next)
    if (*at == turn) {
      *at = turn->next;
      return;
    }
}

bool tsh_kube__auth_refused(tsh_kube__auth *auth) {
  if (auth->access->exec.command != NULL) {
    tsh_kube__credential_fini(&auth->now);
    return true;
  }
  if (auth->access->token_file == NULL)
    return false;
  auth->file_id = 0; /* it is read again, changed or not */
  return true;
}

void tsh_kube__auth_fini(tsh_kube__auth *auth) {
  tsh_kube__credential_fini(&auth->now);
  if (auth->renewal != NULL) {
    auth->renewal->auth = NULL; /* it takes the access with it */
    auth->renewal->turns = NULL;
  } else {
    tsh_kube__access_fini((tsh_kube__access *)auth->access);
    free((void *)auth->access);
  }
}
