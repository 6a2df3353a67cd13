--- Offset certificates, from the command line: a run carries groups; what it
-- wrote down is proved again against the live clusters. An off-by-one is
-- refused by the carry, and found in a journal that was written with one; what
-- retention has removed since is named.

local json = require "vm.json"
local sys = require "vm.sys"
local journal = require "runbook.record.journal"
local map = require "mirror.offsets.map"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")

local BOOK = [[
runbook "carry" {}
local old = cluster "old" { bootstrap = "%s" }
local new = cluster "new" { bootstrap = "%s" }
local road = bridge "road" { from = old, to = new, topics = { "apps.*" } }
step "1. Open" { ensure = road:open() }
step "2. Carry" { ensure = road:carried { "g", "h", to = new } }
]]

--- The command, its output and exit code.
local function call(world, ...)
  local done = world.t.ok(sys.run { stdin = "null",
    args = { sys.executable(), ... },
    env = { TRANSHIP_STATE = world.state } })
  return done.code, done.stdout .. done.stderr
end

local function alter(world, at, group, list)
  for _, one in ipairs(world.t.ok(at:client("write"):alter_group_offsets(group,
    list))) do
    world.t.ok(not one.err, one.err)
  end
end

--- Equal records, to the last byte.
local function equal_records(topic, count)
  local list = {}
  for index = 1, count do
    list[index] = { topic = topic, partition = 0, key = "k", value = "same",
      headers = {}, timestamp = 1700000000000 }
  end
  return list
end

local function make(world)
  local t, old = world.t, world.old
  world:create(old, { { name = "apps.a" }, { name = "apps.mixed" },
    { name = "apps.none" }, { name = "apps.alike" } })
  world:append(old, world.records("apps.a", 0, 0, 500))
  for n = 0, 4 do
    world:append(old, world.records("apps.mixed", 0, n * 100, 100),
      { transaction = n % 2 == 0 and "commit" or "abort" })
  end
  world:append(old, equal_records("apps.alike", 300))
  alter(world, old, "g", {
    { topic = "apps.a", partition = 0, offset = 250 },
    { topic = "apps.mixed", partition = 0, offset = 250 },
    { topic = "apps.none", partition = 0, offset = 0 },
    { topic = "apps.alike", partition = 0, offset = 123 },
  })
  alter(world, old, "h", { { topic = "apps.a", partition = 0, offset = 500 } })
  local book = world.dir .. "/carry.lua"
  t.ok(sys.write_file(book, BOOK:format(old.bootstrap, world.new.bootstrap)))
  return book
end

--- The journal again, one field of one certificate altered, the chain sound.
local function plant(world, run, alter_certificate)
  local t = world.t
  local folder = ("%s/runs/%s"):format(world.state, run)
  local honest = t.ok(sys.read_file(folder .. "/journal.jsonl"))
  local prev, lines, planted = nil, {}, 0
  for line in honest:gmatch "([^\n]*)\n" do
    local rec = t.ok(json.decode(line))
    local list = rec.answer and type(rec.answer.seen) == "table"
      and rec.answer.seen.certificates or {}
    if rec.kind == "effect.intent" then list = { rec.args.certificate } end
    for _, one in ipairs(list) do
      if alter_certificate(one) then planted = planted + 1 end
    end
    rec.prev = prev or rec.prev
    lines[#lines + 1] = json.encode(rec)
    prev = journal.hash(lines[#lines])
  end
  t.ok(planted > 0, "no certificate was altered")
  t.ok(sys.write_file(folder .. "/journal.jsonl",
    table.concat(lines, "\n") .. "\n"))
  return function() t.ok(sys.write_file(folder .. "/journal.jsonl", honest)) end
end

test("certificates hold, break, or name what is gone", function(t)
  local world <close> = world_of.new(t)
  local book = make(world)
  local code, said = call(world, "run", book, "--yes")
  t.equal(code, 0, said)
  local run = t.ok(said:match "run (%x%x%x%x)", said)
  code, said = call(world, "verify", "certificates", run)
  t.equal(code, 0, said)
  t.match(said, "5 certificates: 5 hold, 0 cannot be checked any more, 0 broken")
  code, said = call(world, "report", run, "--out", "-")
  t.equal(code, 0)
  t.match(said, "old 250 is new 250: before it 249 %x+ | 249 %x+; at it 250")
  t.match(said, "both logs end: 500 | 500")

  -- An off-by-one in every kind of place, wherever it is planted.
  for _, case in ipairs {
    { "there", "apps.a", -1 }, { "there", "apps.a", 1 },
    { "there", "apps.none", 1 }, { "there", "apps.mixed", 1 },
    { "there", "apps.alike", -1 }, { "here", "apps.mixed", 1 },
  } do
    local side, topic, step = table.unpack(case)
    local restore = plant(world, run, function(one)
      if one.group ~= "g" or one[side].topic ~= topic then return false end
      one[side].offset = one[side].offset + step
      return true
    end)
    code, said = call(world, "verify", "certificates", run)
    restore()
    t.equal(code, 1, said)
    t.match(said, "broken +group g, " .. topic)
  end
  -- Records of the neighbouring place: the two sides no longer agree.
  local restore = plant(world, run, function(one)
    if one.group ~= "g" or one.here.topic ~= "apps.a" then return false end
    one.there.offset, one.there.before = 251, one.there.after[1]
    table.remove(one.there.after, 1)
    return true
  end)
  code, said = call(world, "verify", "certificates", run, "-o", "json")
  restore()
  t.equal(code, 1)
  t.equal(json.decode(said).counts,
    { holds = 4, broken = 1, ["cannot be checked"] = 0 })

  -- The carry itself refuses one, also among records that are all alike.
  local road = world:bridge { topics = { "apps.*" } }
  local lookup = map.lookup
  for _, step in ipairs { -1, 1 } do
    map.lookup = function(...)
      local place, why = lookup(...)
      return place and place + step, why
    end
    alter(world, world.old, "alike",
      { { topic = "apps.alike", partition = 0, offset = 123 } })
    local done, why = road:carry_offsets("alike", { to = world.new })
    map.lookup = lookup
    t.fails("conflict", done, why)
    t.match(why, "position 123 is not proven")
  end
  t.ok(road:carry_offsets("alike", { to = world.new }))

  -- What retention has removed since.
  for _, one in ipairs(t.ok(world.old:client("write"):delete_records {
    { topic = "apps.a", partition = 0, before = 300 } })) do
    t.ok(not one.err, one.err)
  end
  code, said = call(world, "verify", "certificates", run)
  t.equal(code, 0, said)
  t.match(said, "cannot be checked +group g, apps.a/0: old 250 is new 250\n"
    .. " +apps.a/0 on old: retention has removed offsets 249 to 299")
  t.match(said, "4 hold, 1 cannot be checked any more, 0 broken")
end)
