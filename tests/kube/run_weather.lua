-- Bad weather over a whole run: real API server and controllers, two real Kafkas,
-- three applications as Deployments whose pods are processes, at work all the time.
-- Between the run and the API server stands a proxy that is slow and resets every
-- connection after some seconds, watches and requests alike; in the middle of moves
-- the API server is stopped (SIGSTOP), killed, started again. The run waits and goes
-- on by itself, or stops with the exit code that its journal bears out, and is
-- resumed. Judges: the server's audit log, the journal, the applications' audit.
local test = ...
local json = require "vm.json"
local task = require "vm.task"
local moving = dofile "tests/world/moving.lua"
local stages = dofile "tests/world/stage.lua"
local world_of = dofile "tests/support/kube.lua"

local BOOK = "tests/world/books/stormy.lua"
local APPS = { "consumer", "reverser", "producer" }
local LONG_MS = 300000
local STOPPED_MS = 12000
local RESUMES = 8

-- The world. -----------------------------------------------------------------

local function deployment(namespace, name, command, more)
  local meta = { labels = { app = name }, annotations = more }
  return { apiVersion = "apps/v1", kind = "Deployment",
    metadata = { name = name, namespace = namespace },
    spec = { replicas = 0, selector = { matchLabels = { app = name } },
      template = { metadata = meta, spec = { terminationGracePeriodSeconds = 20,
        containers = { { name = "main", image = "none", command = command } } } } } }
end

--- The applications on both platforms, with no pods yet.
local function deploy(world, stage)
  for namespace, cluster in pairs { left = "old", right = "new" } do
    world:kubectl("create", "ns", namespace)
    local list = { deployment(namespace, "late", { "/bin/sleep", "600" },
      { ["process-pods/ready-after"] = "6" }) }
    for _, app in ipairs(APPS) do
      list[#list + 1] = deployment(namespace, app, { stage.apps .. "/" .. app,
        "--bootstrap", stage[cluster], "--cluster", cluster, "--reset", "earliest",
        "--rate", "300", "--trail", ("%s/%s.trail"):format(stage.trails, app) })
    end
    world:apply(list)
  end
  world:kubectl("create", "clusterrole", "tranship", "--verb=*", "--resource=*.*")
  world:kubectl("create", "clusterrolebinding", "tranship", "--clusterrole=tranship",
    "--user=tranship")
end

-- The journal. ---------------------------------------------------------------

--- Waits for a record of that kind (and step) behind the first `after` ones.
local function await(move, kind, step, after)
  return move.stage:wait_for(("%s of step %s"):format(kind, step or "any"), function()
    for _, record in ipairs((move:journal())) do
      if record.kind == kind and record.seq > (after or 0)
        and (not step or record.step == step) then
        return record
      end
    end
  end, LONG_MS)
end

--- What is owed: debts that were opened and not paid.
local function owed(records)
  local open, count = {}, 0
  for _, record in ipairs(records) do
    if record.kind == "owed.open" then open[record.seq] = true end
    if record.kind == "owed.paid" then open[record.owed] = nil end
  end
  for _ in pairs(open) do count = count + 1 end
  return count
end

--- A drive has ended: its code is the one that the journal bears out.
local function must_be_borne_out(t, move, ended)
  local records, id = move:journal()
  local last, said = records[#records], ended.stdout .. ended.stderr
  t.equal(last.exit, ended.code, said)
  t.equal(last.kind, ended.code == 0 and "run.close" or "run.stop", said)
  t.equal(ended.code, ended.code ~= 0 and owed(records) > 0 and 7
    or ended.code ~= 0 and 1 or 0, said)
  if ended.code ~= 0 then t.match(said, "tranship resume " .. id) end
  move.stage:tranship_must(0, "journal", "verify", id)
  return id, last
end

--- "2026-11-25T23:10:21.123456Z" as wall milliseconds.
local function wall_ms(text)
  local y, mo, d, h, mi, s, us = text:match "(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)%.(%d+)"
  y, mo, d = y // 1 | 0, mo // 1 | 0, d // 1 | 0
  if mo <= 2 then y, mo = y - 1, mo + 12 end
  local days = 365 * y + y // 4 - y // 100 + y // 400 + (153 * mo - 457) // 5 + d - 719469
  return ((days * 24 + h) * 60 + mi) * 60000 + s * 1000 + (us .. "000000"):sub(1, 6) // 1000
end

--- Whether an intent was on the disk when the server got this request: of the same
-- object, and not over unless nobody knew how it ended.
local function is_intended(event, intents)
  local ref, at = event.objectRef, wall_ms(event.requestReceivedTimestamp)
  local cluster = ref.namespace == "left" and "old" or "new"
  for _, one in pairs(intents) do
    local args, ended = one.args or {}, one.ended
    local fits = args.workload == ref.name and args.cluster == cluster
      or one.target:find(("/%s/deployments.apps/%s"):format(ref.namespace, ref.name), 1, true)
    if fits and one.time <= at + 1
      and (not ended or ended.unknown or ended.time + 1 >= at) then
      return true
    end
  end
end

--- Every write that reached the server had an intent; none is left in doubt.
local function writes_are_written_down(t, world, move, id)
  local intents, count = {}, 0
  for _, record in ipairs((move:journal())) do
    if record.kind == "effect.intent" then intents[record.seq] = record end
    if record.kind == "effect.outcome" then intents[record.intent].ended = record end
  end
  for _, event in ipairs(world:audit { agent = "^tranship" }) do
    if event.requestURI:find("fieldManager=tranship%2F" .. id, 1, true)
      and not event.requestURI:find "dryRun" then
      count = count + 1
      t.ok(is_intended(event, intents), "nobody wrote down: " .. json.encode(event))
    end
  end
  t.ok(count >= 7, count .. " writes")
  local status = json.decode(move.stage:tranship_must(0, "status", id, "-o", "json").stdout)
  t.equal({ #(status.owed or {}), #(status.in_doubt or {}) }, { 0, 0 }, "owed, in doubt")
  return count
end

-- The weather. ---------------------------------------------------------------

--- Makes it, step by step; `calm` says that a run which has stopped can go on.
local function storm(t, world, weather, move, calm)
  await(move, "step.enter", "2")
  weather.set("slow 20", "age 2")
  await(move, "step.enter", "3")
  weather.set "slow 20"
  local stop = await(move, "effect.intent", "3")
  world:signal("apiserver", "STOP")
  task.sleep(STOPPED_MS)
  world:signal("apiserver", "CONT")
  local left = await(move, "step.leave", "3")
  t.equal({ left.state, left.seq > stop.seq }, { "done", true }, "it waits, and goes on")

  calm.now = false
  local begun = await(move, "effect.intent", "4")
  world:signal("apiserver", "STOP")
  await(move, "run.stop", nil, begun.seq)
  world:restart()
  calm.now = true

  await(move, "step.enter", "5")
  weather.set("slow 100", "age 3")
  await(move, "effect.intent", "5")
  world:restart()
  await(move, "step.leave", "5")
  weather.set()
end

--- Runs the book and resumes it until it is done: how often, and how it went.
local function drive(t, world, weather, move)
  local calm, exits = { now = true }, {}
  local nature <close> = task.spawn(storm, t, world, weather, move, calm)
  local words = { "run", BOOK, "--yes", table.unpack(move.params) }
  repeat
    local ended = move.stage:tranship(table.unpack(words))
    local id, last = must_be_borne_out(t, move, ended)
    exits[#exits + 1] = ended.code
    t.note(("exit %d at step %s: %s"):format(ended.code, last.step or "-", last.because or ""))
    t.ok(#exits <= RESUMES, "it does not come to an end: " .. ended.stdout .. ended.stderr)
    move.stage:wait_for("calm", function() return calm.now or nature:is_done() end, LONG_MS)
    words = { "resume", id }
  until ended.code == 0
  local ok, why = nature:join()
  if not ok then error(why, 0) end
  return words[2], exits
end

test("bad weather over a whole run", function(t)
  local platforms = task.spawn(world_of.start)
  local stage <close> = stages.open(t)
  local started, world = platforms:join()
  if not started then error(world, 0) end
  local _ <close> = world
  local weather <close> = world:weather()
  deploy(world, stage)
  local move = moving.begin(stage, { apps = false, trails = false,
    kube = world:config_through(weather) }, BOOK, APPS)
  local begun = task.now()
  local id, exits = drive(t, world, weather, move)
  t.ok(#exits > 1, "nothing has stopped it")
  t.note(("%d s in bad weather, %d times resumed"):format((task.now() - begun) // 1000,
    #exits - 1))
  t.note(writes_are_written_down(t, world, move, id) .. " writes, each in the journal")
  local watches = #world:audit { verb = "watch", resource = "deployments", agent = "^tranship" }
  t.ok(watches > 1, "no watch was cut")
  t.note(("%d watches, %d connections"):format(watches, weather.tunnels()))
  for _, app in ipairs(APPS) do
    t.equal(world:get("deployment", app, "left").spec.replicas, 0)
    t.equal(world:get("deployment", app, "right").spec.replicas, 1)
  end
  move:finish("new", "producer", "reverser", "consumer")
  move:must_be_whole "new"
end)
