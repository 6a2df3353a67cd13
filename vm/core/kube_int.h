/* What the files of the kube room share.
 *   kube_config.c  kubeconfig files to one access
 *   kube_pem.c     files and certificates
 *   kube_auth.c    credentials that change: token files, plugins
 *   kube_exec.c    running a credential plugin
 *   kube_class.c   reading or writing
 *   kube.c         sessions and calls */
#ifndef TRANSHIP_KUBE_INT_H
#define TRANSHIP_KUBE_INT_H

#include <sys/types.h>

#include "tranship/base64.h"
#include "tranship/buf.h"
#include "tranship/kube.h"
#include "tranship/secret.h"

enum {
  TSH_KUBE__LARGEST_FILE = 8 << 20,
  TSH_KUBE__MOST_ARGS = 64,
};

/* A credential plugin, as the kubeconfig has it. */
typedef struct tsh_kube__exec {
  char *command; /* NULL: none */
  char *args[TSH_KUBE__MOST_ARGS + 1];
  char *env[TSH_KUBE__MOST_ARGS + 1]; /* "NAME=value" */
  char *version;                      /* of client.authentication.k8s.io */
  char *hint;                         /* how to install it */
  char *config;                       /* JSON of the cluster's extension */
  bool wants_cluster, may_ask, must_ask;
} tsh_kube__exec;

/* Everything one context says. */
typedef struct tsh_kube__access {
  char *context, *cluster, *user, *ns;
  char *place; /* "FILE:LINE" of the user, for messages */
  char *server, *server_name, *proxy;
  bool insecure;
  char *ca; /* PEM, or NULL */
  tsh_secret *cert, *key;
  tsh_secret *token; /* what stands in the file itself */
  char *token_file;
  tsh_secret *basic;                      /* base64 of name and password */
  char *headers[TSH_KUBE__MOST_ARGS + 1]; /* of impersonation */
  tsh_kube__exec exec;
  char *warning;
} tsh_kube__access;

int tsh_kube__access_read(tsh_kube__access *out, const tsh_kube_setup *setup,
                          tsh_err *err);
void tsh_kube__access_fini(tsh_kube__access *access);

/* kube_pem.c. Reads a whole file into an empty buffer. */
int tsh_kube__read_file(const char *path, tsh_buf *out, tsh_err *err);
int tsh_kube__secret(tsh_secret **out, const char *bytes, size_t length,
                     tsh_err *err);
/* How many certificates a PEM text holds; 0: none, or one that is broken. */
int tsh_kube__count_certificates(const char *pem, size_t length);
/* Whether a certificate is valid now and its key belongs to it. */
int tsh_kube__check_pair(const tsh_secret *cert, const tsh_secret *key,
                         const char *whose, tsh_err *err);

/* What a call is sent with. */
typedef struct tsh_kube__credential {
  tsh_secret *token;
  tsh_secret *cert, *key;
  int64_t expires; /* seconds since 1970; 0: does not */
} tsh_kube__credential;
void tsh_kube__credential_fini(tsh_kube__credential *credential);

/* kube_exec.c: runs the plugin; blocks, for the thread pool. */
int tsh_kube__exec_run(const tsh_kube__access *access,
                       tsh_kube__credential *out, tsh_err *err);

/* kube_auth.c */
typedef struct tsh_kube__auth {
  tsh_loop *loop;
  const tsh_kube__access *access;
  tsh_kube__credential now; /* of the plugin, or the file's token */
  struct timespec file_changed;
  ino_t file_id;
  struct renewal *renewal; /* a plugin that runs */
} tsh_kube__auth;

typedef struct tsh_kube__turn {
  void (*ready)(struct tsh_kube__turn *turn, int status, const tsh_err *err);
  struct tsh_kube__turn *next;
} tsh_kube__turn;

void tsh_kube__auth_init(tsh_kube__auth *auth, tsh_loop *loop,
                         const tsh_kube__access *access);
/* `turn.ready` is called once there are credentials, never from inside;
 * 0 when they are there already and nothing will be called. */
bool tsh_kube__auth_wait(tsh_kube__auth *auth, tsh_kube__turn *turn);
void tsh_kube__auth_leave(tsh_kube__auth *auth, tsh_kube__turn *turn);
/* The server said no: whether other credentials may be had. */
bool tsh_kube__auth_refused(tsh_kube__auth *auth);
void tsh_kube__auth_fini(tsh_kube__auth *auth);

#endif
