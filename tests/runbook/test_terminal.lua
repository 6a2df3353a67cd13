--- A person at a real terminal (`script` gives the process one): typed
-- approvals, and the three ways out of a gap.

local test = ...

local sys = require "vm.sys"
local task = require "vm.task"
local runs = require "runbook.record.runs"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local cases = assert(load(assert(sys.read_file(here .. "/toy/case.lua")),
                          "@" .. here .. "/toy/case.lua"))()

-- Starts a command on a terminal of its own. `exec`: a shell that stayed above
-- it (dash does) would get the terminal's Ctrl-C too, and its end would be told.
local function at_terminal(words, env)
  local quoted = {}
  for at, word in ipairs(words) do quoted[at] = "'" .. word .. "'" end
  return assert(sys.spawn {
    args = { "script", "-qec", "exec " .. table.concat(quoted, " "),
             "/dev/null" },
    stdin = "pipe", stdout = "pipe", stderr = "null", env = env })
end

local function read_until(process, pattern)
  local seen = {}
  for line in process.read, process do
    seen[#seen + 1] = line
    if line:find(pattern) then return true end
  end
  error("never said " .. pattern .. ":\n" .. table.concat(seen, "\n"))
end

-- Reads to the end, so that the process can say all it has to say.
local function finish(process)
  local said = {}
  for line in process.read, process do said[#said + 1] = line end
  return assert(process:wait()).code, table.concat(said, "\n")
end

test("an approval is typed: the step's name, not y", function(t)
  local path = assert(sys.temporary_folder "tranship-terminal")
  local _ <close> = setmetatable({}, { __close = function()
    runs.discard { path = path }
  end })
  assert(sys.write_file(path .. "/book.lua", [[
runbook "typed" {}
step "8. Go" { approve = { "Go?" }, verify = function() return true end }
]]))
  local process <close> = at_terminal({ sys.executable(), "run",
    path .. "/book.lua", "--yes", "-o", "plain" },
    { TRANSHIP_STATE = path .. "/state" })
  read_until(process, "Type 8 to approve")
  process:write "y\n"
  task.sleep(100)
  process:write "yes\n"
  task.sleep(100)
  process:write "8\n"
  local code, said = finish(process)
  t.equal(code, 0, said)
  local folder = runs.folder(path .. "/state", runs.ids(path .. "/state")[1])
  t.match(sys.read_file(folder.journal), '"how":"terminal"')
end)

local function in_gap(choice)
  local case = cases.new()
  local process <close> = at_terminal { sys.executable(), "--lua",
    here .. "/toy/drive.lua", case.folder, "slow", "run" }
  repeat
    task.sleep(20)
    local folder = case:adopt()
    local text = folder and sys.read_file(folder.journal) or ""
  until text:find('"effect.intent"', 1, true)
  process:write "\3"
  task.sleep(200)
  process:write(choice .. "\n")
  local code = finish(process)
  return case, code
end

test("Ctrl-C in a gap, finish: the gap is closed, then it stops: 6", function(t)
  local case <close>, code = in_gap "finish"
  t.equal(code, 6)
  t.equal(case.world:all(), { a = "1", b = "1" })
end)

test("Ctrl-C in a gap, undo this: the step is taken back: 5", function(t)
  local case <close>, code = in_gap "undo this"
  t.equal(code, 5)
  t.equal(case.world:all(), {})
  t.equal(#case:state():debts(), 0)
end)

test("Ctrl-C in a gap, leave as is: the gap is owed: 7", function(t)
  local case <close>, code = in_gap "leave as is"
  t.equal(code, 7)
  t.equal(case.world:all(), { a = "1" })
  t.equal(#case:state():debts "gap", 1)
end)
