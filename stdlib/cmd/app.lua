--- tranship app: starts, stops and shows the workloads of a runbook outside a
-- run, by the same launcher, so that a run finds and stops what was there.

local flags = require "base.options"
local sys = require "vm.sys"
local units = require "base.units"

local EXIT_OK, EXIT_FAILED, EXIT_WRONG = 0, 1, 3

local M = {
  name = "app",
  summary = "Start, stop and look at the workloads of a runbook.",
  usage = "tranship app start|stop|status FILE [WORKLOAD] [--on CLUSTER] "
    .. "[-p NAME=VALUE]...",
  examples = {
    "tranship app start bus.lua hello-world-producer --on old",
    "tranship app stop bus.lua hello-world-producer --on old --within 30s",
    "tranship app status bus.lua",
  },
  options = flags.join({
    { name = "on", kind = "value", value = "CLUSTER",
      help = "the cluster it works on" },
    { name = "within", kind = "value", value = "DURATION",
      help = "how long stopping may take (default 1m)" },
  }, flags.loading, {
    { name = "output", short = "o", kind = "value", value = "KIND",
      choices = { "table", "json" }, help = "how to print the status" },
  }),
}

local function say(format, ...)
  sys.errout("tranship app: " .. format:format(...) .. "\n")
end

local function load(opts, path)
  local params = require "runbook.declare.params"
  local given, problems = params.gather(opts.param, opts.params)
  local book
  if given then
    book, problems = require "runbook.load".book(path, {
      params = given, recipes = opts.recipes,
    })
  end
  if not book then sys.errout(require "runbook.declare.problems".text(problems)) end
  return book
end

--- The thing of that name, or a line about which there are.
local function find(list, name, what)
  local names = {}
  for i, item in ipairs(list) do
    if item.name == name then return item end
    names[i] = item.name
  end
  say("%s%s; there are: %s", name and "no " or "name a ", name
    and ("%s '%s'"):format(what, name) or what, table.concat(names, ", "))
end

local function start(_, workload, cluster)
  local done, why = workload:start { on = cluster }
  if not done then return nil, why end
  local status
  status, why = workload:status(cluster)
  if not status then return nil, why end
  say("%s runs on %s%s", workload.name, cluster.name,
    status.pid and ", pid " .. status.pid or "")
  return true
end

local function stop(_, workload, cluster, opts)
  local done, why = workload:stop { on = cluster, within = opts.within }
  if not done then return nil, why end
  say("%s is stopped on %s", workload.name, cluster.name)
  return true
end

--- One row per workload and cluster.
local function survey(book, only)
  local rows = {}
  for _, workload in ipairs(book.workloads) do
    local wanted = only == nil or only == workload.name
    for _, cluster in ipairs(wanted and book.clusters or {}) do
      local status, why = workload:status(cluster)
      if not status then return nil, why end
      rows[#rows + 1] = {
        workload = workload.name, cluster = cluster.name,
        running = status.running, pid = status.pid, since = status.since,
      }
    end
  end
  return rows
end

local function status(book, name, opts)
  local rows, why = survey(book, name)
  if not rows then return nil, why end
  if opts.output == "json" then
    local json = require "vm.json"
    sys.out(json.encode(json.array(rows)) .. "\n")
    return true
  end
  for _, row in ipairs(rows) do
    sys.out(("%-28s %-12s %-8s %s\n"):format(row.workload, row.cluster,
      row.running and "running" or "stopped",
      row.pid and "pid " .. row.pid or ""))
  end
  return true
end

local ACTIONS = { start = start, stop = stop }

local function act(book, verb, name, opts)
  if verb == "status" then return status(book, name, opts) end
  local workload = find(book.workloads, name, "workload")
  local cluster = workload and find(book.clusters, opts.on, "cluster (--on)")
  if not cluster then return nil end
  return ACTIONS[verb](book, workload, cluster, opts)
end

function M.run(opts, args)
  local verb, path, name = args[1], args[2], args[3]
  if not path or #args > 3 or not (ACTIONS[verb] or verb == "status") then
    sys.errout("usage: " .. M.usage .. "\n")
    return EXIT_WRONG
  end
  local _, wrong = units.duration(opts.within or "1m")
  if wrong then
    say("--within: %s", wrong)
    return EXIT_WRONG
  end
  local book = load(opts, path)
  if not book then return EXIT_WRONG end
  local done, why = act(book, verb, name, opts)
  for _, cluster in ipairs(book.clusters) do cluster:close() end
  if done then return EXIT_OK end
  if why == nil then return EXIT_WRONG end
  say("%s", tostring(why))
  return EXIT_FAILED
end

return M
