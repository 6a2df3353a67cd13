/* Whether a request reads or writes, by verb and path. */
#include <string.h>

#include "kube_int.h"

/* Reviews are answered and not kept. */
static const char *const reviews[] = {
    "selfsubjectaccessreviews", "selfsubjectrulesreviews",
    "subjectaccessreviews",     "localsubjectaccessreviews",
    "selfsubjectreviews",       "tokenreviews",
};

static const char *last_part(const char *path) {
  const char *slash = strrchr(path, '/');

  return slash != NULL ? slash + 1 : path;
}

static bool is_review(const char *path) {
  const char *name = last_part(path);

  if (strncmp(path, "/apis/authorization.k8s.io/", 27) != 0 &&
      strncmp(path, "/apis/authentication.k8s.io/", 28) != 0)
    return false;
  for (size_t i = 0; i < sizeof reviews / sizeof *reviews; i++)
    if (strcmp(name, reviews[i]) == 0)
      return true;
  return false;
}

/* These act on what runs, whatever the verb says. */
static bool acts_by_get(const char *path) {
  static const char *const doors[] = {"/exec", "/attach", "/portforward",
                                      "/proxy", "/proxy/"};

  for (size_t i = 0; i < sizeof doors / sizeof *doors; i++) {
    const char *at = strstr(path, doors[i]);

    if (at != NULL &&
        (at[strlen(doors[i])] == '\0' || doors[i][strlen(doors[i]) - 1] == '/'))
      return true;
  }
  return false;
}

/* The options of a DELETE stand in its query only where it has no body: with
 * one, the server looks at nothing else, and deletes. */
static bool is_dry(const tsh_kube_ask *ask) {
  const tsh_kube_query *query = ask->query;
  int dry = 0, other = 0;

  if (strcmp(ask->method, "DELETE") == 0 && ask->body.data != NULL)
    return false;
  for (; query != NULL && query->name != NULL; query++) {
    if (strcmp(query->name, "dryRun") != 0)
      continue;
    if (strcmp(query->value, "All") == 0)
      dry++;
    else
      other++;
  }
  return dry == 1 && other == 0;
}

tsh_kube_class tsh_kube_class_of(const tsh_kube_ask *ask) {
  const char *method = ask->method;

  if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
    return acts_by_get(ask->path) ? TSH_KUBE_WRITE : TSH_KUBE_READ;
  if (strcmp(method, "POST") == 0 && is_review(ask->path))
    return TSH_KUBE_READ;
  if ((strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
       strcmp(method, "PATCH") == 0 || strcmp(method, "DELETE") == 0) &&
      is_dry(ask) && !acts_by_get(ask->path))
    return TSH_KUBE_DRY;
  return TSH_KUBE_WRITE;
}
