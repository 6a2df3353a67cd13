--- The journal: chain, torn lines, tampering, formats, secrets, a full disk.

local test = ...

local json = require "vm.json"
local secret = require "vm.secret"
local sys = require "vm.sys"
local journal = require "runbook.record.journal"
local runs = require "runbook.record.runs"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local cases = assert(load(assert(sys.read_file(here .. "/toy/case.lua")),
                          "@" .. here .. "/toy/case.lua"))()
local toy = cases.toy

local function folder()
  local path = assert(sys.temporary_folder "tranship-journal")
  return setmetatable({ path = path, file = path .. "/journal.jsonl" },
    { __close = function() runs.discard { path = path } end })
end

local function written(file)
  local log = assert(journal.create(file))
  assert(log:append("run.open", { format = journal.FORMAT, build = "x" }))
  assert(log:append("log", { step = "1", text = "one" }))
  assert(log:append("log", { step = "1", text = "two" }, true))
  log:close()
  return assert(sys.read_file(file))
end

test("records are numbered, timed and chained", function(t)
  local at <close> = folder()
  written(at.file)
  local parsed = assert(journal.read(at.file))
  t.equal(#parsed.records, 3)
  t.equal(parsed.records[1].prev, "")
  for number, record in ipairs(parsed.records) do
    t.equal(record.seq, number)
    t.ok(record.time > 1600000000000)
  end
  t.equal(parsed.torn, nil)
end)

test("an existing journal is never begun anew", function(t)
  local at <close> = folder()
  written(at.file)
  t.fails("exists", journal.create(at.file))
end)

test("a torn last line is cut, wherever it is torn", function(t)
  local at <close> = folder()
  local text = written(at.file)
  local two = #text:match "^[^\n]*\n[^\n]*\n"
  for length = two + 1, #text - 1, 7 do
    assert(sys.write_file(at.file, text:sub(1, length)))
    local log, records = journal.open(at.file)
    t.equal(#records, 2)
    t.equal(log.cut, text:sub(two + 1, length))
    assert(log:append("log", { text = "three" }))
    log:close()
    t.equal(#assert(journal.read(at.file)).records, 3)
  end
end)

test("a changed, removed, added or moved line breaks the chain", function(t)
  local at <close> = folder()
  local text = written(at.file)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  local broken = {
    lines[1] .. "\n" .. lines[2]:gsub("one", "eno") .. "\n" .. lines[3] .. "\n",
    lines[1] .. "\n" .. lines[3] .. "\n",
    lines[1] .. "\n" .. lines[2] .. "\n" .. lines[2] .. "\n" .. lines[3] .. "\n",
    lines[1] .. "\n" .. lines[3] .. "\n" .. lines[2] .. "\n",
    lines[2] .. "\n" .. lines[3] .. "\n",
    lines[1]:gsub('"x"', '"y"') .. "\n" .. lines[2] .. "\n" .. lines[3] .. "\n",
    "garbage\n" .. lines[2] .. "\n",
  }
  for n, changed in ipairs(broken) do
    assert(sys.write_file(at.file, changed))
    local _, why = journal.open(at.file)
    t.equal(why.kind, "tampered", "change " .. n)
    t.equal(sys.read_file(at.file), changed, "left as it is")
  end
end)

test("an unknown format is refused and the version named", function(t)
  local at <close> = folder()
  assert(sys.write_file(at.file, json.encode {
    kind = "run.open", seq = 1, prev = "", time = 1, format = 99,
    build = "7.7.7" } .. "\n"))
  local why = t.fails("format", journal.read(at.file))
  t.match(why, "7%.7%.7")
  t.match(why, "format 99")
end)

test("secrets never reach the journal", function(t)
  local at <close> = folder()
  local hidden <close> = secret.new("correct horse battery", "kafka#admin")
  local log = assert(journal.create(at.file))
  assert(log:append("run.open", { format = 1, build = "x" }))
  assert(log:append("log", { value = hidden,
    text = "password correct horse battery!",
    deep = { list = { "correct horse battery" } } }))
  log:close()
  local text = assert(sys.read_file(at.file))
  t.equal(text:find("correct horse", 1, true), nil)
  t.match(text, "kafka#admin")
end)

test("offsets above 2^53 survive", function(t)
  local at <close> = folder()
  written(at.file)
  local log = assert(journal.open(at.file))
  assert(log:append("log", { offset = (1 << 53) + 1, far = math.maxinteger }))
  log:close()
  local last = assert(journal.read(at.file)).records[4]
  t.equal(last.offset, 9007199254740993)
  t.equal(last.far, math.maxinteger)
end)

test("a full disk: the effect is not sent, and nothing more is written", function(t)
  local case <close> = cases.new()
  local w = case.world
  local full = false
  local append = sys.append
  sys.append = function(path)
    local file, why = append(path)
    if not file or not path:find "journal" then return file, why end
    return setmetatable({ write = function(_, text)
      if full then
        return nil, { kind = "io", message = "no space left on device" }
      end
      return file:write(text)
    end, sync = function() return file:sync() end,
    close = function() return file:close() end }, {})
  end
  local book = toy.book { { id = "1", ensure = { w:becomes("x", "1") } },
    { id = "2", check = { function() full = true return w:is("y", "1") end },
      apply = function() return w:set("y", "1") end } }
  local exit = case:run(book)
  sys.append = append
  t.equal(exit, 1)
  t.equal(w:all(), { x = "1" })
  t.match(case:talk(), "cannot be written")
  t.match(case:talk(), "tranship resume")
  local quick = toy.book { { id = "1", ensure = { w:becomes("x", "1") } },
                           { id = "2", ensure = { w:becomes("y", "1") } } }
  t.equal(case:resume(quick), 0)
end)

test("a really full disk (file size limit), in a process of its own", function(t)
  local case <close> = cases.new()
  local said = assert(sys.run { "/bin/sh", "-c",
    "ulimit -f 4; trap '' XFSZ; exec \"$0\" --lua \"$1\" \"$2\" whole run",
    sys.executable(), here .. "/toy/drive.lua", case.folder })
  t.ok(said.code == 1 or said.code == 7, "exit " .. tostring(said.code))
  t.match(said.stderr, "cannot be written")
  case:adopt()
  local records = case:records()
  t.ok(#records > 3)
  -- Everything sent has its intent: no effect went out unjournalled.
  local intents = 0
  for _, record in ipairs(records) do
    if record.kind == "effect.intent" then intents = intents + 1 end
  end
  t.ok(#case.world:sent() <= intents)
  local again = assert(sys.run { sys.executable(), "--lua",
    here .. "/toy/drive.lua", case.folder, "whole", "resume" })
  t.equal(again.code, 0, again.stderr)
end)

test("journal verify and export, from the command line", function(t)
  local case <close> = cases.new()
  t.equal(case:run(toy.book { { id = "1", ensure = {
    case.world:becomes("x", "1") } } }), 0)
  local id = case.run_folder.id
  local function run(...)
    return assert(sys.run { sys.executable(), "journal", "--state", case.root,
                            id, ... })
  end
  t.match(run("verify").stdout, "chain unbroken")
  t.equal(run("export").stdout, sys.read_file(case.run_folder.journal))
  t.match(run().stdout, "effect.intent")
  local text = sys.read_file(case.run_folder.journal)
  assert(sys.write_file(case.run_folder.journal,
                        (text:gsub("x becomes 1", "x becomes 2"))))
  local said = run "verify"
  t.equal(said.code, 4)
  t.match(said.stderr, "chain breaks")
end)
