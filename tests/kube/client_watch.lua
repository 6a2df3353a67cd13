-- Watches that survive what ends them: the server's own end every few seconds,
-- a restart, versions that are forgotten (410), and a fresh list that tells
-- what changed meanwhile, each change once.
local test = ...
local task = require "vm.task"
local kubernetes = require "kube.kubernetes"
local world_of = dofile "tests/support/kube.lua"

local WITHIN_MS = 60000

local function check(value, why)
  if value == nil then error(debug.traceback(tostring(why), 2), 0) end
  return value
end

local function put(world, name, value)
  world:apply { apiVersion = "v1", kind = "ConfigMap",
    metadata = { name = name, labels = { watched = "yes" } },
    data = { v = value } }
end

--- Reads until an event of that type and name has come; the words of all.
local function until_event(watch, type_name, name)
  local seen = {}
  while true do
    local event = check(watch:next(WITHIN_MS))
    local one = event.object
    seen[#seen + 1] = event.type .. (one and " " .. one.metadata.name
      .. "=" .. tostring(one.data and one.data.v) or "")
    if event.type == type_name and (not name or one.metadata.name == name) then
      return seen
    end
  end
end

local function plain_watch(t, kube, world)
  put(world, "w1", "1")
  local watch <close> = check(kube:watch("cm", { labels = "watched=yes" }))
  t.equal(until_event(watch, "SYNCED"), { "ADDED w1=1", "SYNCED" })
  put(world, "w1", "2")
  put(world, "w2", "1")
  t.equal(until_event(watch, "ADDED", "w2"), { "MODIFIED w1=2", "ADDED w2=1" })
  world:kubectl("delete", "cm", "w1")
  t.equal(until_event(watch, "DELETED", "w1"), { "DELETED w1=2" })
  local none, why = watch:next(300)
  t.fails("timeout", none, why)
  put(world, "w2", "3") -- nothing was lost by giving up waiting
  t.equal(until_event(watch, "MODIFIED", "w2"), { "MODIFIED w2=3" })

  local _, version = kube:list("cm", { labels = "watched=yes" })
  put(world, "w2", "4")
  local later <close> = check(kube:watch("cm", { labels = "watched=yes",
    from = version }))
  t.equal(until_event(later, "MODIFIED", "w2"), { "MODIFIED w2=4" })
end

--- Waits go by condition and generation, and end when it cannot come.
local function waits(t, kube, world)
  local waiting = task.spawn(function()
    return kube:wait_until("cm", "later", function(there)
      return there and there.data.v == "2"
    end, { within_ms = WITHIN_MS })
  end)
  put(world, "later", "1")
  put(world, "later", "2")
  local ok, there = waiting:join()
  t.equal(ok, true)
  t.equal(check(there).data.v, "2")
  local none, why = kube:wait_for("cm", "later", { within_ms = 300 })
  t.fails("timeout", none, why)
  t.match(tostring(why), "to be Ready=True: it has no status")
  local uid = there.metadata.uid
  world:kubectl("delete", "cm", "later")
  put(world, "later", "3")
  none, why = kube:wait_until("cm", "later", function() return false end,
    { uid = uid, within_ms = WITHIN_MS })
  t.fails("conflict", none, why)
  t.match(tostring(why), "deleted and made again")
  t.equal(check(kube:wait_gone("cm", "later", { uid = uid })), true)
end

--- A user who may read and not watch still gets there, by looking.
local function waits_without_watching(t, world)
  world:apply {
    { apiVersion = "rbac.authorization.k8s.io/v1", kind = "Role",
      metadata = { name = "looks", namespace = "default" },
      rules = { { apiGroups = { "" }, resources = { "configmaps" },
        verbs = { "get" } } } },
    { apiVersion = "rbac.authorization.k8s.io/v1", kind = "RoleBinding",
      metadata = { name = "looks", namespace = "default" },
      roleRef = { apiGroup = "rbac.authorization.k8s.io", kind = "Role",
        name = "looks" },
      subjects = { { apiGroup = "rbac.authorization.k8s.io", kind = "User",
        name = "nobody" } } } }
  local kube <close> = kubernetes.new { name = "n",
    kubeconfig = world:config_of "nobody" }
  world:wait_for("rights", function()
    return (kube:find("cm", "none")) == false
  end)
  put(world, "looked", "1")
  check(kube:wait_until("cm", "looked", function(there)
    return there and there.data.v == "1"
  end, { within_ms = WITHIN_MS }))
  t.ok(#world:audit { user = "nobody", verb = "watch" } == 0, "it watched")
end

test("watching", function(t)
  world_of.with(function(world)
    local kube <close> = kubernetes.new { name = "k", kubeconfig = world.kubeconfig }
    plain_watch(t, kube, world)
    waits(t, kube, world)
    waits_without_watching(t, world)
  end, { parts = { "etcd", "apiserver" } })
end)

--- Goes on changing things until the server has forgotten what `path` asks for.
local function forget(world, kube, path)
  local count = 0
  world:wait_for("forgetting", function()
    count = count + 1
    check(kube:apply { apiVersion = "v1", kind = "ConfigMap", metadata =
      { name = "noise", labels = { watched = "yes" } },
      data = { v = tostring(count) } })
    return world:request(path, { token = "admin-token" }) == 410
  end)
end

-- One server for what needs flags of its own: watches end after three seconds,
-- and history is forgotten as fast.
test("watches are resumed after every kind of end", function(t)
  world_of.with(function(world)
    local kube <close> = kubernetes.new { name = "k", kubeconfig = world.kubeconfig }
    put(world, "r1", "1")
    put(world, "r2", "1")
    local watch <close> = check(kube:watch("cm", { labels = "watched=yes",
      server_s = 1 }))
    until_event(watch, "SYNCED")
    for i = 2, 4 do -- each after the watch was ended by the server
      task.sleep(1500)
      put(world, "r1", tostring(i))
      t.equal(until_event(watch, "MODIFIED", "r1"), { "MODIFIED r1=" .. i })
    end
    t.ok(#world:audit { verb = "watch", resource = "configmaps" } >= 3, "resumed")

    world:restart()
    put(world, "r1", "5")
    t.equal(until_event(watch, "MODIFIED", "r1"), { "MODIFIED r1=5" })

    -- Away while the server forgets: what changed is told from a fresh list.
    local old = watch.version
    watch:close()
    world:kubectl("delete", "cm", "r2")
    put(world, "r3", "1")
    put(world, "r1", "6")
    forget(world, kube, "/api/v1/configmaps?limit=1&resourceVersionMatch=Exact"
      .. "&resourceVersion=" .. old)
    world:restart()
    local told -- a SYNCED by itself is of a list after the first restart
    repeat told = until_event(watch, "SYNCED") until #told > 1
    table.sort(told)
    local text = table.concat(told, ", ")
    t.match(text, "ADDED noise=")
    t.match(text, "ADDED r3=1")
    t.match(text, "DELETED r2=1")
    t.match(text, "MODIFIED r1=6")
    t.equal(#told, 5)

    -- A watch from there is told by an ERROR line, and lists by itself.
    local late <close> = check(kube:watch("cm", { labels = "watched=yes",
      from = old }))
    t.match(table.concat(until_event(late, "SYNCED"), " "), "ADDED r3=1")
    -- And a list whose continue token is forgotten begins again.
    local pages, items = 0, nil
    check(kube:_pages("cm", { labels = "watched=yes", page = 1 },
      function(got, meta)
        pages = pages + 1
        items = got and (items or 0) + #got or nil
        if pages == 1 then
          forget(world, kube, "/api/v1/namespaces/default/configmaps?limit=1"
            .. "&labelSelector=watched%3Dyes&continue=" .. meta.continue)
        end
      end))
    t.ok(pages > 4, "it was not begun again")
    t.equal(items, 3)
  end, { parts = { "etcd", "apiserver" },
    api = { "--etcd-compaction-interval=3s", "--min-request-timeout=3" } })
end)
