/* Loading shared libraries. */
#include "library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static void load(tsh_library *library) {
  void *handle = dlopen(library->file, RTLD_NOW | RTLD_LOCAL);
  char *table = library->table;

  if (handle == NULL) {
    snprintf(library->why, sizeof library->why, "%s", dlerror());
    return;
  }
  for (const char *const *name = library->names; *name != NULL; name++) {
    void *symbol = dlsym(handle, *name);
    if (symbol == NULL) {
      snprintf(library->why, sizeof library->why, "it has no %s%s", *name,
               library->needed);
      return;
    }
    memcpy(table, &symbol, sizeof symbol);
    table += sizeof symbol;
  }
  if (library->then != NULL)
    library->then();
}

int tsh_library__load(tsh_library *library, tsh_err *err) {
  pthread_mutex_lock(&library->lock);
  if (!library->is_tried)
    load(library);
  library->is_tried = true;
  pthread_mutex_unlock(&library->lock);
  return library->why[0] == '\0'
             ? 0
             : tsh_err_set(err, TSH_NOT_FOUND, library->origin, 0,
                           "%s cannot be used: %s", library->called,
                           library->why);
}
