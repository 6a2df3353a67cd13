--- The Lua half of vm.sys: what is made of its other functions.

local M = ...

local task = require "vm.task"

local function lines_of(read, process)
  local lines = {}
  for line in function() return read(process) end do
    lines[#lines + 1] = line
  end
  if #lines == 0 then return "" end
  return table.concat(lines, "\n") .. "\n"
end

--- Runs a program to its end.
---@async
---@param options table as for spawn, with the arguments as its list part
---@return { code: integer, signal?: string, stdout: string, stderr: string }|nil
---@return table|nil err
function M.run(options)
  local spawn = { stdout = "pipe", stderr = "pipe" }
  for k, v in pairs(options) do
    if type(k) == "string" and k ~= "input" then spawn[k] = v end
  end
  spawn.args = options.args or table.move(options, 1, #options, 1, {})
  if options.input then spawn.stdin = "pipe" end
  local process <close>, why = M.spawn(spawn)
  if not process then return nil, why end
  -- Cancelled before its end, or gone: nobody will ask for it any more.
  local is_over = false
  local _ <close> = setmetatable({}, { __close = function()
    if not is_over then process:kill "KILL" end
  end })
  local parts, failed = task.together {
    function()
      return spawn.stdout == "pipe" and lines_of(process.read, process) or ""
    end,
    function()
      return spawn.stderr == "pipe" and lines_of(process.read_error, process)
        or ""
    end,
    function()
      if options.input then
        process:write(options.input) -- one that does not read is no failure
        process:close_stdin()
      end
      return true
    end,
  }
  if not parts then return nil, failed end
  local result
  result, why = process:wait()
  if not result then return nil, why end
  is_over = true
  result.stdout, result.stderr = parts[1], parts[2]
  return result
end

return M
