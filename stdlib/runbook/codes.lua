--- Every error code with its meaning and a worked example: what `tranship
-- explain CODE` prints. Codes are stable; a new one is an entry in codes/.

local M = {}

---@class tranship.Code
---@field title string
---@field why string
---@field wrong? string     a runbook that gives this code
---@field right? string     the same, mended
---@field shell? string[]   wrong and right, as commands
---@field text? string[]    wrong and right, in words
---@field bare? boolean     the example brings all it needs
---@field warns? string     a warning that the mended example still gives

local ROOMS = { "words", "values", "steps", "outside" }

local all

--- All codes.
---@return table<string, tranship.Code>
function M.all()
  if all then return all end
  all = {}
  for _, room in ipairs(ROOMS) do
    for code, entry in next, (require("runbook.codes." .. room)) do
      all[code] = entry
    end
  end
  return all
end

---@param code string
---@return tranship.Code?
function M.of(code) return M.all()[code] end

local WIDTH = 78

local function wrapped(text)
  local lines, line = {}, ""
  for word in text:gmatch "%S+" do
    if line ~= "" and #line + #word + 1 > WIDTH then
      lines[#lines + 1], line = line, ""
    end
    line = line == "" and word or line .. " " .. word
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

local function indented(text)
  return "    " .. text:gsub("\n", "\n    ")
end

--- The page of one code.
---@param code string
---@return string?
function M.page(code)
  local entry = M.of(code)
  if not entry then return nil end
  local wrong = entry.wrong or (entry.shell or entry.text)[1]
  local right = entry.right or (entry.shell or entry.text)[2]
  return table.concat({
    code .. "  " .. entry.title, "",
    wrapped(entry.why), "",
    "  instead of", indented(wrong), "", "  write", indented(right), "",
  }, "\n")
end

return M
