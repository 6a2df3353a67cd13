/* The Kubernetes API: sessions, requests, and answers that stream.
 *
 * A session is what a kubeconfig (or a pod's service account) says about one
 * context: server, whom to trust, who we are, namespace. Credentials stay in
 * here: they are renewed when a plugin's answer expires or a token's file
 * changes, and never shown. Bodies go in and out as bytes; what they mean is
 * others' affair. Whether a request reads or writes is decided here, by verb
 * and path, and a session that only reads refuses the rest. */
#ifndef TRANSHIP_KUBE_H
#define TRANSHIP_KUBE_H

#include "tranship/err.h"
#include "tranship/http.h"
#include "tranship/loop.h"

typedef struct tsh_kube tsh_kube;
typedef struct tsh_kube_call tsh_kube_call;

typedef enum tsh_kube_mode {
  TSH_KUBE_MAY_WRITE,
  TSH_KUBE_READ_ONLY, /* refuses all that changes, dry runs too */
  TSH_KUBE_VALIDATES  /* changes only with dryRun=All */
} tsh_kube_mode;

typedef struct tsh_kube_setup {
  const char *kubeconfig; /* a file; NULL: those in KUBECONFIG, else
                             ~/.kube/config, else the pod's own account */
  const char *context;    /* NULL: the current one */
  const char *ns;         /* NULL: the context's namespace, else "default" */
  const char *agent;      /* User-Agent */
  const char *account;    /* folder of the pod's account; NULL: the usual */
  tsh_kube_mode mode;
} tsh_kube_setup;

/* Reads files; contacts nobody. Errors name file, line and field. */
int tsh_kube_open(tsh_kube **out, tsh_loop *loop, const tsh_kube_setup *setup,
                  tsh_err *err);
/* Calls that are under way end with TSH_CLOSED. */
void tsh_kube_close(tsh_kube *kube);

typedef struct tsh_kube_about {
  const char *server, *context, *cluster, *user, *ns;
  const char *warning; /* what deserves to be said about it, or NULL */
} tsh_kube_about;
tsh_kube_about tsh_kube_about_of(const tsh_kube *kube);
tsh_kube_mode tsh_kube_mode_of(const tsh_kube *kube);

typedef enum tsh_kube_class {
  TSH_KUBE_READ,
  TSH_KUBE_DRY, /* a change that the server only judges: dryRun=All */
  TSH_KUBE_WRITE
} tsh_kube_class;

typedef struct tsh_kube_query {
  const char *name, *value;
} tsh_kube_query;

typedef struct tsh_kube_ask {
  const char *method;          /* "GET", "PATCH", ... */
  const char *path;            /* "/api/v1/pods": neither escaped nor a query */
  const tsh_kube_query *query; /* ends with a name of NULL; may be NULL */
  const char *content_type;    /* of the body; NULL: application/json */
  const char *accept;          /* NULL: application/json */
  tsh_http_bytes body;
  uint32_t timeout_ms, idle_ms;
  size_t limit;
  bool is_stream;
} tsh_kube_ask;

/* What is not known to read is a write. */
tsh_kube_class tsh_kube_class_of(const tsh_kube_ask *ask);

/* Starts a request. `op` is done when all of the answer is there; of a stream,
 * when its head is. Statuses that are no success are answers, not errors.
 * Freeing `op` is tsh_kube_free; whoever keeps the call gives `op` another
 * `free`. */
int tsh_kube_start(tsh_kube_call **out, tsh_kube *kube, const tsh_kube_ask *ask,
                   tsh_err *err);
tsh_op *tsh_kube_op(tsh_kube_call *call);
void tsh_kube_free(tsh_kube_call *call);
const char *tsh_kube_path(const tsh_kube_call *call);
/* What came: for reading only, and valid as long as the call. */
tsh_http_call *tsh_kube_http(tsh_kube_call *call);

#endif
