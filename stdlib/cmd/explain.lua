--- tranship explain: what a code, a word, a field, a goal or a question means.

local sys = require "vm.sys"

local EXIT_OK, EXIT_WRONG = 0, 3

local M = {
  name = "explain",
  summary = "Explain an error code, a word of runbooks, a goal or a question.",
  usage = "tranship explain [CODE|WORD[.FIELD]|GOAL|QUESTION]",
  examples = {
    "tranship explain E0310",
    "tranship explain step",
    "tranship explain step.on_failure",
    "tranship explain bridge       its fields, and what can be asked of one",
    "tranship explain shaped_like",
    "tranship explain              list everything",
  },
  options = {},
}

--- "lasts  choice  a loan: ... [run]": one field of a word.
local function field_line(field, width)
  local tail = ""
  if field.unbuilt then
    tail = " (not built yet: " .. field.unbuilt .. ")"
  elseif field.required then
    tail = " (needed)"
  elseif field.default ~= nil and type(field.default) ~= "table" then
    tail = (" (default %s)"):format(tostring(field.default))
  end
  if field.values then
    tail = ("%s [%s]"):format(tail, table.concat(field.values, ", "))
  end
  return ("  %-" .. width .. "s %-11s %s%s"):format(field.name, field.kind,
    field.desc, tail)
end

--- The page of a word, or of one of its fields.
---@return string?
function M.word_page(name, field_name)
  local word = require "runbook.declare.schema".words[name]
  if not word then return nil end
  local lines, width = { name .. "  " .. word.desc }, 0
  if word.unbuilt then
    lines[#lines + 1] = "  not built yet: " .. word.unbuilt
  end
  local fields = word.fields or {}
  for _, field in ipairs(fields) do width = math.max(width, #field.name) end
  local found = not field_name
  for _, field in ipairs(fields) do
    if not field_name or field.name == field_name then
      found = true
      lines[#lines + 1] = field_line(field, width)
      for _, inner in ipairs(field_name and field.fields or {}) do
        lines[#lines + 1] = "  " .. field_line(inner, width)
      end
      for _, value in ipairs(field_name and field.values or {}) do
        local meaning = field.means and field.means[value] or ""
        lines[#lines + 1] = ('    %-12s  %s'):format(
          ('"%s"'):format(tostring(value)), meaning):gsub("%s+$", "")
      end
    end
  end
  local asked = not field_name and require "runbook.declare.offers".of(name) or {}
  if name == "params" then asked = require "runbook.declare.types".lines() end
  table.move(asked, 1, #asked, #lines + 1, lines)
  return found and table.concat(lines, "\n") .. "\n" or nil
end

local function everything()
  local lines, codes = {}, {}
  for code in next, require "runbook.codes".all() do codes[#codes + 1] = code end
  table.sort(codes)
  for i, code in ipairs(codes) do
    lines[i] = code .. "  " .. require "runbook.codes".of(code).title
  end
  lines[#lines + 1] = ""
  local schema = require "runbook.declare.schema"
  for _, list in ipairs { schema.declaring, schema.building } do
    for _, name in ipairs(list) do
      local word = schema.words[name]
      if word then
        lines[#lines + 1] = ("%-18s  %s"):format(name, word.desc)
      end
    end
  end
  lines[#lines + 1] = "\ngoals and questions, each with a page of its own: see "
    .. "bridge, cluster, kubernetes, workload"
  return table.concat(lines, "\n") .. "\n"
end

--- The pages of a field by its name alone, of every word that has one.
local function fields_page(name)
  local schema, pages = require "runbook.declare.schema", {}
  for _, list in ipairs { schema.declaring, schema.building } do
    for _, word in ipairs(list) do
      pages[#pages + 1] = schema.words[word] and M.word_page(word, name)
    end
  end
  return #pages > 0 and table.concat(pages, "\n") or nil
end

--- The page for what was asked, or nil and a suggestion.
---@param what string
---@return string? page, string? hint
function M.page(what)
  local codes = require "runbook.codes"
  local page = codes.page(what:upper())
  if page then return page end
  local word, field = what:match "^([%w_]+)%.?([%w_]*)$"
  page = word and M.word_page(word, field ~= "" and field or nil)
  if page then return page end
  local offers = require "runbook.declare.offers"
  local method = what:match "([%w_]+)$" -- also of "road:lag", "bridge.lag"
  page = method and offers.page(method, field_line) or fields_page(what)
  if page then return page end
  local names = offers.names()
  for name in next, (require "runbook.declare.schema".words) do names[#names + 1] = name end
  for code in next, codes.all() do names[#names + 1] = code end
  table.sort(names)
  local near = require "base.schema".nearest(what, names)
  return nil, near and ("did you mean '%s'?"):format(near)
    or "`tranship explain` lists everything"
end

function M.run(_, args)
  if #args == 0 then
    sys.out(everything())
    return EXIT_OK
  end
  local exit = EXIT_OK
  for _, what in ipairs(args) do
    local page, hint = M.page(what)
    if page then
      sys.out(page)
    else
      sys.errout(("tranship explain: nothing is known of '%s'; %s\n"):format(
        what, hint))
      exit = EXIT_WRONG
    end
  end
  return exit
end

return M
