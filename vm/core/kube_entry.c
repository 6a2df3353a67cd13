/* What clusters and users of a kubeconfig say, and the account of a pod. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kube_config.h"

static const char account_folder[] =
    "/var/run/secrets/kubernetes.io/serviceaccount";
static const char exec_group[] = "client.authentication.k8s.io/";
static const char exec_extension[] = "client.authentication.k8s.io/exec";

static char *copy(const char *text) {
  return text != NULL ? strdup(text) : NULL;
}

/* Clusters. */

static int read_ca(tsh_kube__access *out, const tsh_kube__entry *cluster,
                   tsh_err *err) {
  tsh_buf pem;
  int rc;

  tsh_buf_init(&pem, TSH_KUBE__LARGEST_FILE);
  rc = tsh_kube__bytes(cluster, "certificate-authority-data",
                       "certificate-authority", &pem, err);
  if (rc == 0 && pem.length > 0) {
    if (tsh_kube__count_certificates(pem.data, pem.length) == 0)
      rc = tsh_kube__bad(
          cluster,
          json_object_get(cluster->body, "certificate-authority-data")
              ? "certificate-authority-data"
              : "certificate-authority",
          err, "there is no certificate in it, or a broken one");
    else
      out->ca = strdup(pem.data);
  }
  tsh_buf_fini(&pem);
  return rc;
}

static int check_url(const tsh_kube__entry *entry, const char *key,
                     const char *url, const char *const schemes[],
                     tsh_err *err) {
  const char *at = strstr(url, "://");

  for (size_t i = 0; at != NULL && schemes[i] != NULL; i++)
    if (strlen(schemes[i]) == (size_t)(at - url) &&
        strncmp(url, schemes[i], (size_t)(at - url)) == 0 && at[3] != '\0' &&
        strpbrk(url, " \t\r\n") == NULL)
      return 0;
  return tsh_kube__bad(entry, key, err, "'%s' is no URL that can be used here",
                       url);
}

/* What plugins are told of a cluster that has something to tell them. */
static int read_extension(tsh_kube__access *out, const tsh_kube__entry *cluster,
                          tsh_err *err) {
  json_t *item, *list = json_object_get(cluster->body, "extensions");
  size_t i;
  tsh_buf text;
  int rc = 0;

  json_array_foreach(list, i, item) {
    const char *name = json_string_value(json_object_get(item, "name"));

    if (name == NULL || strcmp(name, exec_extension) != 0)
      continue;
    tsh_buf_init(&text, TSH_KUBE__LARGEST_FILE);
    rc = tsh_json_write(json_object_get(item, "extension"), 0, &text, err);
    if (rc == 0 && out->exec.config == NULL)
      out->exec.config = strdup(tsh_buf_text(&text));
    tsh_buf_fini(&text);
  }
  return rc;
}

static int read_server(tsh_kube__access *out, const tsh_kube__entry *cluster,
                       tsh_err *err) {
  static const char *const http[] = {"https", "http", NULL};
  static const char *const proxies[] = {"http", "https", "socks5", NULL};
  const char *server, *name, *proxy;
  int rc = tsh_kube__text(cluster, "server", &server, err);

  if (rc == 0)
    rc = tsh_kube__text(cluster, "tls-server-name", &name, err);
  if (rc == 0)
    rc = tsh_kube__text(cluster, "proxy-url", &proxy, err);
  if (rc != 0)
    return rc;
  if (server == NULL)
    return tsh_kube__bad(cluster, "server", err, "it has no server");
  rc = check_url(cluster, "server", server, http, err);
  if (rc == 0 && proxy != NULL)
    rc = check_url(cluster, "proxy-url", proxy, proxies, err);
  if (rc != 0)
    return rc;
  out->server = strdup(server);
  while (out->server[strlen(out->server) - 1] == '/')
    out->server[strlen(out->server) - 1] = '\0';
  out->server_name = copy(name);
  out->proxy = copy(proxy);
  return 0;
}

int tsh_kube__read_cluster(tsh_kube__access *out,
                           const tsh_kube__entry *cluster, tsh_err *err) {
  static const char key[] = "insecure-skip-tls-verify";
  int rc = read_server(out, cluster, err);

  if (rc == 0)
    rc = tsh_kube__flag(cluster, key, &out->insecure, err);
  if (rc == 0)
    rc = read_ca(out, cluster, err);
  if (rc == 0)
    rc = read_extension(out, cluster, err);
  if (rc != 0)
    return rc;
  if (out->insecure && out->ca != NULL)
    return tsh_kube__bad(cluster, key, err,
                         "it also names an authority: one of the two is meant");
  if (out->insecure &&
      asprintf(&out->warning, "%s:%d: %s: whoever answers at %s is trusted",
               cluster->file->path,
               tsh_yaml_line(&cluster->file->yaml, cluster->body, key), key,
               out->server) < 0)
    out->warning = NULL;
  return 0;
}

/* Users. */

static int read_pair(tsh_kube__access *out, const tsh_kube__entry *user,
                     tsh_err *err) {
  tsh_buf cert, key;
  int rc;

  tsh_buf_init(&cert, TSH_KUBE__LARGEST_FILE);
  tsh_buf_init(&key, TSH_KUBE__LARGEST_FILE);
  rc = tsh_kube__bytes(user, "client-certificate-data", "client-certificate",
                       &cert, err);
  if (rc == 0)
    rc = tsh_kube__bytes(user, "client-key-data", "client-key", &key, err);
  if (rc == 0 && (cert.length > 0) != (key.length > 0))
    rc = tsh_kube__bad(user, NULL, err, "it has a client %s and no client %s",
                       cert.length > 0 ? "certificate" : "key",
                       cert.length > 0 ? "key" : "certificate");
  if (rc == 0 && cert.length > 0)
    rc = tsh_kube__secret(&out->cert, cert.data, cert.length, err);
  if (rc == 0 && key.length > 0)
    rc = tsh_kube__secret(&out->key, key.data, key.length, err);
  if (rc == 0 && cert.length > 0)
    rc = tsh_kube__check_pair(out->cert, out->key, out->place, err);
  tsh_buf_wipe(&cert);
  tsh_buf_wipe(&key);
  return rc;
}

static int read_token(tsh_kube__access *out, const tsh_kube__entry *user,
                      tsh_err *err) {
  const char *token, *path;
  int rc = tsh_kube__text(user, "token", &token, err);

  if (rc == 0)
    rc = tsh_kube__text(user, "tokenFile", &path, err);
  if (rc == 0 && token != NULL && strpbrk(token, "\r\n") != NULL)
    return tsh_kube__bad(user, "token", err, "a token is one line");
  if (rc == 0 && token != NULL)
    rc = tsh_kube__secret(&out->token, token, strlen(token), err);
  if (rc != 0 || path == NULL)
    return rc;
  out->token_file = tsh_kube__path(user->file, path);
  if (out->token == NULL && access(out->token_file, R_OK) != 0)
    return tsh_kube__bad(user, "tokenFile", err, "%s cannot be read",
                         out->token_file);
  return 0;
}

static int read_basic(tsh_kube__access *out, const tsh_kube__entry *user,
                      tsh_err *err) {
  const char *name, *password;
  tsh_buf plain, coded;
  int rc = tsh_kube__text(user, "username", &name, err);

  if (rc == 0)
    rc = tsh_kube__text(user, "password", &password, err);
  if (rc != 0 || (name == NULL && password == NULL))
    return rc;
  if (out->token != NULL || out->token_file != NULL)
    return tsh_kube__bad(user, "username", err,
                         "it also has a token: one of the two is meant");
  tsh_buf_init(&plain, TSH_KUBE__LARGEST_FILE);
  tsh_buf_init(&coded, TSH_KUBE__LARGEST_FILE);
  tsh_buf_format(&plain, "%s:%s", name ? name : "", password ? password : "");
  tsh_base64_encode(plain.data, plain.length, &coded);
  rc = tsh_kube__secret(&out->basic, coded.data, coded.length, err);
  tsh_buf_wipe(&plain);
  tsh_buf_wipe(&coded);
  return rc;
}

static int add_header(tsh_kube__access *out, const tsh_kube__entry *user,
                      const char *key, const char *name, const json_t *value,
                      tsh_err *err) {
  size_t i = 0;

  if (value == NULL || json_is_null(value))
    return 0;
  if (!json_is_string(value) ||
      strpbrk(json_string_value(value), "\r\n") != NULL)
    return tsh_kube__bad(user, key, err, "text is wanted here");
  while (out->headers[i] != NULL)
    i++;
  if (i == TSH_KUBE__MOST_ARGS ||
      asprintf(&out->headers[i], "%s: %s", name, json_string_value(value)) < 0)
    return tsh_kube__bad(user, key, err, "too many");
  return 0;
}

/* Acting as somebody else. */
static int read_as(tsh_kube__access *out, const tsh_kube__entry *user,
                   tsh_err *err) {
  json_t *groups = json_object_get(user->body, "as-groups"), *item;
  json_t *extra = json_object_get(user->body, "as-user-extra"), *list;
  const char *key;
  char name[256];
  size_t i;
  int rc = add_header(out, user, "as", "Impersonate-User",
                      json_object_get(user->body, "as"), err);

  if (rc == 0)
    rc = add_header(out, user, "as-uid", "Impersonate-Uid",
                    json_object_get(user->body, "as-uid"), err);
  json_array_foreach(groups, i, item) if (rc == 0) rc =
      add_header(out, user, "as-groups", "Impersonate-Group", item, err);
  json_object_foreach(extra, key, list) {
    snprintf(name, sizeof name, "Impersonate-Extra-%s", key);
    json_array_foreach(list, i,
                       item) if (rc == 0 && strpbrk(key, ":\r\n ") == NULL) rc =
        add_header(out, user, "as-user-extra", name, item, err);
  }
  return rc;
}

/* Plugins. */

static int read_args(const tsh_kube__entry *exec, char *out[], tsh_err *err) {
  json_t *item, *list = json_object_get(exec->body, "args");
  size_t i;

  json_array_foreach(list, i, item) {
    if (!json_is_string(item) || i >= TSH_KUBE__MOST_ARGS)
      return tsh_kube__bad(exec, "args", err,
                           "a list of at most %d texts is "
                           "wanted here",
                           TSH_KUBE__MOST_ARGS);
    out[i] = strdup(json_string_value(item));
  }
  return 0;
}

static int read_env(const tsh_kube__entry *exec, char *out[], tsh_err *err) {
  json_t *item, *list = json_object_get(exec->body, "env");
  size_t i;

  json_array_foreach(list, i, item) {
    const char *name = json_string_value(json_object_get(item, "name"));
    const char *value = json_string_value(json_object_get(item, "value"));

    if (name == NULL || i >= TSH_KUBE__MOST_ARGS ||
        asprintf(&out[i], "%s=%s", name, value ? value : "") < 0)
      return tsh_kube__bad(exec, "env", err,
                           "a list of { name, value } is wanted here");
  }
  return 0;
}

static int read_interactive(tsh_kube__exec *out, const tsh_kube__entry *exec,
                            tsh_err *err) {
  const char *mode;
  int rc = tsh_kube__text(exec, "interactiveMode", &mode, err);

  if (rc != 0)
    return rc;
  if (mode == NULL && strcmp(out->version, "v1") == 0)
    return tsh_kube__bad(exec, "interactiveMode", err,
                         "v1 wants Never, IfAvailable or Always here");
  out->must_ask = mode != NULL && strcmp(mode, "Always") == 0;
  out->may_ask =
      out->must_ask || mode == NULL || strcmp(mode, "IfAvailable") == 0;
  if (!out->may_ask && strcmp(mode, "Never") != 0)
    return tsh_kube__bad(exec, "interactiveMode", err,
                         "Never, IfAvailable or Always is wanted here");
  return 0;
}

static int read_command(tsh_kube__exec *out, const tsh_kube__entry *exec,
                        tsh_err *err) {
  const char *command, *version, *hint;
  int rc = tsh_kube__text(exec, "command", &command, err);

  if (rc == 0)
    rc = tsh_kube__text(exec, "apiVersion", &version, err);
  if (rc == 0)
    rc = tsh_kube__text(exec, "installHint", &hint, err);
  if (rc != 0)
    return rc;
  if (command == NULL)
    return tsh_kube__bad(exec, "command", err, "it has no command");
  if (version == NULL ||
      strncmp(version, exec_group, strlen(exec_group)) != 0 ||
      (strcmp(version + strlen(exec_group), "v1") != 0 &&
       strcmp(version + strlen(exec_group), "v1beta1") != 0))
    return tsh_kube__bad(exec, "apiVersion", err, "%sv1 or v1beta1 is wanted",
                         exec_group);
  out->command = strchr(command, '/') != NULL
                     ? tsh_kube__path(exec->file, command)
                     : strdup(command);
  out->version = strdup(version + strlen(exec_group));
  out->hint = copy(hint);
  return 0;
}

static int read_exec(tsh_kube__access *out, const tsh_kube__entry *user,
                     tsh_err *err) {
  json_t *body = json_object_get(user->body, "exec");
  tsh_kube__entry exec = {user->file, body, "exec of user", user->name};
  int rc;

  if (body == NULL || json_is_null(body))
    return 0;
  if (!json_is_object(body))
    return tsh_kube__bad(user, "exec", err, "a mapping is wanted here");
  if (out->token != NULL || out->token_file != NULL || out->basic != NULL)
    return tsh_kube__bad(user, "exec", err,
                         "it also has a token or a password: one is meant");
  rc = read_command(&out->exec, &exec, err);
  if (rc == 0)
    rc = read_args(&exec, out->exec.args, err);
  if (rc == 0)
    rc = read_env(&exec, out->exec.env, err);
  if (rc == 0)
    rc = tsh_kube__flag(&exec, "provideClusterInfo", &out->exec.wants_cluster,
                        err);
  return rc != 0 ? rc : read_interactive(&out->exec, &exec, err);
}

int tsh_kube__read_user(tsh_kube__access *out, const tsh_kube__entry *user,
                        tsh_err *err) {
  int rc;

  if (asprintf(&out->place, "%s:%d: user '%s'", user->file->path,
               tsh_yaml_line(&user->file->yaml, user->body, NULL),
               user->name) < 0)
    return tsh_err_set(err, TSH_NO_MEMORY, "kube", 0, "no memory");
  if (json_is_object(json_object_get(user->body, "auth-provider")))
    return tsh_kube__bad(user, "auth-provider", err,
                         "Kubernetes 1.26 took these away; use exec");
  rc = read_pair(out, user, err);
  if (rc == 0)
    rc = read_token(out, user, err);
  if (rc == 0)
    rc = read_basic(out, user, err);
  if (rc == 0)
    rc = read_exec(out, user, err);
  return rc != 0 ? rc : read_as(out, user, err);
}

/* The account of a pod. */

static int account_file(const char *folder, const char *name, char **path,
                        tsh_buf *out, tsh_err *err) {
  if (asprintf(path, "%s/%s", folder, name) < 0)
    return tsh_err_set(err, TSH_NO_MEMORY, "kube", 0, "no memory");
  tsh_buf_init(out, TSH_KUBE__LARGEST_FILE);
  return tsh_kube__read_file(*path, out, err);
}

int tsh_kube__read_account(tsh_kube__access *out, const tsh_kube_setup *setup,
                           tsh_err *err) {
  const char *folder = setup->account ? setup->account : account_folder;
  const char *host = getenv("KUBERNETES_SERVICE_HOST");
  const char *port = getenv("KUBERNETES_SERVICE_PORT");
  tsh_buf ca, ns;
  char *path = NULL;
  int rc;

  if (host == NULL || port == NULL)
    return tsh_err_set(err, TSH_NOT_FOUND, "kube", 0,
                       "no kubeconfig: neither KUBECONFIG nor ~/.kube/config "
                       "leads to one, and this is no pod; name a kubeconfig");
  if (setup->context != NULL)
    return tsh_err_set(err, TSH_NOT_FOUND, "kube", 0,
                       "no context '%s': a pod's own account has none",
                       setup->context);
  if (asprintf(&out->server,
               strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host,
               port) < 0 ||
      asprintf(&out->token_file, "%s/token", folder) < 0)
    return tsh_err_set(err, TSH_NO_MEMORY, "kube", 0, "no memory");
  rc = account_file(folder, "ca.crt", &path, &ca, err);
  if (rc == 0)
    out->ca = strdup(tsh_buf_text(&ca));
  tsh_buf_fini(&ca);
  free(path);
  path = NULL;
  if (rc == 0 && account_file(folder, "namespace", &path, &ns, NULL) == 0)
    out->ns = strndup(tsh_buf_text(&ns), strcspn(tsh_buf_text(&ns), "\r\n"));
  if (path != NULL)
    tsh_buf_fini(&ns);
  free(path);
  out->context = strdup("in-cluster");
  out->cluster = strdup("in-cluster");
  out->user = strdup("service account");
  out->place = strdup(out->token_file);
  return rc;
}
