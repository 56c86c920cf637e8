"""Ways to damage the books of a billed bench fleet, and what verification says of each."""

from __future__ import annotations

NOWHERE = "'00000000-0000-7000-8000-00000000dead'"
SEVENTH = "(select id from invoice where number = 7)"
FIRST_LINE = f"invoice_id = {SEVENTH} and no = 1"

# What is done to the rows, the laws that break, and what the first of them says.
DAMAGE: dict[str, tuple[list[str], str, list[str]]] = {
    "a posting of another amount": (
        [f"update journal_line set debit = debit + 1 where entry_id = {SEVENTH} and no = 1"],
        "I1 I2 I5 references",
        ["(INV-7): debits of ", "live books in USD: debits of ", "the whole ledger: debits of "],
    ),
    "both sides of an entry changed": (
        [
            f"update journal_line set debit = 5 where entry_id = {SEVENTH} and debit > 0",
            f"delete from journal_line where entry_id = {SEVENTH} and ledger_account = 'tax_payable'",
            f"update journal_line set credit = 5 where entry_id = {SEVENTH} and credit > 0",
        ],
        "I2 I5 references",
        ["live books in USD: accounts receivable stands at "],
    ),
    "an entry without lines": (
        [f"delete from journal_line where entry_id = {SEVENTH}"],
        "I1 I2 I5",
        ["has no lines (invoice, posted on 2026-12-01)"],
    ),
    "lines without their entry": (
        [f"delete from journal_entry where id = {SEVENTH}"],
        "I1 I2 references",
        ["is missing, and 3 journal lines name it"],
    ),
    "an account that the chart lacks": (
        [f"update journal_line set ledger_account = 'slush' where entry_id = {SEVENTH} and no = 2"],
        "I1 I5",
        ["ledger account slush: is not in the chart of accounts, and 1 journal lines"],
    ),
    "a balance moved without a journal entry": (
        ["update invoice set balance = balance - 1 where number = 7"],
        "I2",
        ["live books in USD", "0.01 USD apart; balance and total differ on INV-7"],
    ),
    "paid, and still owing": (
        ["update invoice set status = 'paid' where number = 7"],
        "I2",
        ["invoice INV-7 (live): is paid with a balance of "],
    ),
    "one charge billed twice after the index was lost": (
        [
            "drop index invoice_line_charge_key",
            f"update invoice_line set charge_key = (select charge_key from invoice_line where {FIRST_LINE})"
            " where invoice_id = (select id from invoice where number = 8) and no = 1",
        ],
        "I3 I5",
        [
            "is billed 2 times: INV-7 line 1 (recurring), INV-8 line 1 (recurring)",
            "double billing is missing or invalid",
        ],
    ),
    "the index alone is lost": (
        ["drop index invoice_line_charge_key"],
        "I3",
        ["index invoice_line_charge_key: the unique index that stops double billing is missing"],
    ),
    "a line without a charge key": (
        [
            "alter table invoice_line alter charge_key drop not null",
            f"update invoice_line set charge_key = null where {FIRST_LINE}",
        ],
        "I3 I5",
        ["line 1 (recurring) of invoice INV-7: has no charge key"],
    ),
    "a number that jumps": (
        ["update invoice set number = number + 2 where number = 400"],
        "I4 I5",
        ["invoice INV-402 (live): follows 399, so 400 to 401 are missing", "400 is recorded as its last"],
    ),
    "a number given twice": (
        [
            "alter table invoice drop constraint invoice_number_series_mode_key",
            "update invoice set number = 7 where number = 8",
        ],
        "I4 I5",
        ["invoice INV-7 (live): stands twice", "invoice INV-9 (live): follows 7, so 8 is missing"],
    ),
    "a series that counts further": (
        ["update number_series set last_number = 401 where code = 'INV'"],
        "I4",
        ["number series INV (live): 401 is recorded as its last number, and its last invoice has 400"],
    ),
    "a whole invoice removed": (
        [
            f"delete from invoice_line where invoice_id = {SEVENTH}",
            f"delete from journal_line where entry_id = {SEVENTH}",
            f"delete from journal_entry where id = {SEVENTH}",
            "delete from invoice where number = 7",
        ],
        "I4 I5 I12 I13",
        ["invoice INV-8 (live): follows 6, so 7 is missing"],
    ),
    "the last invoice removed, and the count with it": (
        [
            "delete from invoice_line where invoice_id = (select id from invoice where number = 400)",
            "delete from journal_line where entry_id = (select id from invoice where number = 400)",
            "delete from journal_entry where id = (select id from invoice where number = 400)",
            "delete from invoice where number = 400",
            "update number_series set last_number = 399 where code = 'INV'",
        ],
        "I5 I12 I13",
        ["number series INV (live): records another last link than its last invoice has"],
    ),
    "another due date": (
        ["update invoice set due_on = due_on + 30 where number in (7, 12)"],
        "I5",
        ["invoice INV-7 (live): is the first that does not fit", "invoice INV-12 (live): does not fit"],
    ),
    "another coupon on a discount": (
        [
            "update invoice_line set reference = E'a\\\\b\\tc' where (invoice_id, no) ="
            " (select l.invoice_id, l.no from invoice_line l join invoice i on i.id = l.invoice_id"
            "  where l.kind = 'discount' order by i.number limit 1)"
        ],
        "I5",
        ["is the first that does not fit into the chain"],
    ),
    "another link": (
        ["update invoice set chain_hash = sha256('x') where number = 7"],
        "I5",
        ["invoice INV-7 (live): is the first", "invoice INV-8 (live): does not fit"],
    ),
    "a disabled trigger": (
        ["alter table invoice_line disable trigger invoice_line_immutable"],
        "I5",
        ["trigger invoice_line_immutable: is missing, disabled or altered"],
    ),
    "a trigger that lets more through": (
        [
            "drop trigger invoice_immutable on invoice",
            "create trigger invoice_immutable before update or delete on invoice for each row"
            " execute function refuse_change('status', 'balance', 'total')",
        ],
        "I5",
        ["trigger invoice_immutable: is missing, disabled or altered"],
    ),
    "a line of another amount": (
        [f"update invoice_line set amount = amount + 1 where {FIRST_LINE}"],
        "I9 I5",
        ["invoice INV-7 (live): says ", "; its lines come to "],
    ),
    "a charge deleted from under its tax": (
        [f"delete from invoice_line where {FIRST_LINE}"],
        "I9 I5 I13",
        ["of invoice INV-7: is a tax line that belongs to no charge (it names 1 as its line)"],
    ),
    "an invoice without lines": (
        [f"delete from invoice_line where invoice_id = {SEVENTH}"],
        "I9 I5 I13",
        ["invoice INV-7 (live): has no lines"],
    ),
    "a line of no invoice": (
        [
            "insert into invoice_line (invoice_id, no, kind, quantity, amount, charge_key)"
            f" values ({NOWHERE}, 1, 'one_time', 1, 5, {NOWHERE})"
        ],
        "I9",
        ["invoice 00000000-0000-7000-8000-00000000dead: is missing, and 1 invoice lines name it"],
    ),
    "a chunk that counts one more": (
        ["update bill_run_chunk set billed = billed + 1 where no = 0"],
        "I12",
        [
            ", chunk 0: 50 selected, but 51 billed",
            "201 accounts billed, and 200 invoices",
            "but its chunks account for",
        ],
    ),
    "an account left pending": (
        ["update bill_run_chunk set pending = array[uuidv7()] where no = 1"],
        "I12",
        [", chunk 1: 50 selected, but 50 billed", "1 pending"],
    ),
    "a run that selected more": (
        ["update bill_run set selected = selected + 1 where target_date = '2026-12-01'"],
        "I12",
        ["(all, as of 2026-12-01): 201 accounts selected, but its chunks account for 200"],
    ),
    "totals that are not posted": (
        ["update bill_run_chunk set totals = '{\"USD\": 1}' where no = 0"],
        "I12",
        ["(all, as of 2026-12-01): reports ", ", and its invoices come to "],
    ),
    "an invoice that left its run": (
        ["update invoice set bill_run_id = null where number = 7"],
        "I12",
        ["(all, as of 2026-12-01): reports 200 accounts billed, and 199 invoices are there"],
    ),
    "a day charged twice": (
        [f"update invoice_line set period_end = period_end + 1 where {FIRST_LINE}"],
        "I13 I5",
        ["account bench-", "item ", "2027-01-01 to 2027-01-02 charged more than once", "INV-7"],
    ),
    "a day not charged": (
        [f"update invoice_line set period_start = period_start + 1 where {FIRST_LINE}"],
        "I13 I5",
        ["2026-12-01 to 2026-12-02 not charged"],
    ),
    "a hole and a double of one length": (
        [
            f"update invoice_line set period_start = period_start + 3, period_end = period_end + 3 where {FIRST_LINE}"
        ],
        "I13 I5",
        ["2027-01-01 to 2027-01-04 charged more than once; 2026-12-01 to 2026-12-04 not charged"],
    ),
    "charged-through moved without a charge": (
        [
            "update subscription set charged_through = charged_through + 10 where external_key = 'bench-000000007'"
        ],
        "I13",
        ["subscription bench-000000007, item ", "2027-02-01 to 2027-02-11 not charged"],
    ),
    "charged-through moved back without a credit": (
        ["update subscription set charged_through = '2027-01-01' where external_key = 'bench-000000008'"],
        "I13",
        ["2027-01-01 to 2027-02-01 charged, outside of 2026-12-01 to 2027-01-01"],
    ),
    "a voided line whose days nobody charged again": (
        [f"update invoice_line set voided_at = now() where {FIRST_LINE}"],
        "I13",
        ["2026-12-01 to 2027-01-01 not charged"],
    ),
    "an invoice of an unknown account": (
        [f"update invoice set account_id = {NOWHERE} where number = 7"],
        "references I5",
        ["invoice INV-7 (live): its account 00000000-0000-7000-8000-00000000dead is missing"],
    ),
    "a line of somebody else's item": (
        [
            f"update invoice_line set item_id = (select item_id from invoice_line where no = 1 and invoice_id ="
            f" (select id from invoice where number = 8)) where {FIRST_LINE}"
        ],
        "references I5 I13",
        [
            "invoice INV-7 (live), line 1: a recurring line of subscription item ",
            "in a subscription of account",
        ],
    ),
    "a line of an unknown price": (
        [f"update invoice_line set price_id = {NOWHERE} where {FIRST_LINE}"],
        "references I5 I13",
        ["invoice INV-7 (live), line 1: a recurring line of price 00000000", "which is missing"],
    ),
    "a line of another plan's price": (
        [
            f"update invoice_line set price_id = (select p.id from price p join plan_version v on"
            f" v.id = p.plan_version_id where v.plan_code = 'crossword') where {FIRST_LINE}"
        ],
        "references I5",
        ["which is in USD and of plan crossword"],
    ),
    "an entry in another currency": (
        [f"update journal_entry set currency = 'EUR' where id = {SEVENTH}"],
        "references I2",
        ["differs from invoice INV-7 in mode, currency or day"],
    ),
    "an entry of no invoice": (
        [
            "insert into journal_entry (id, kind, currency, posted_on)"
            f" values ({NOWHERE}, 'invoice', 'USD', '2026-12-01')",
            "insert into journal_line (entry_id, no, ledger_account, debit, credit)"
            f" values ({NOWHERE}, 1, 'deferred_revenue', 5, 0), ({NOWHERE}, 2, 'revenue', 0, 5)",
        ],
        "references",
        ["journal entry 00000000-0000-7000-8000-00000000dead: is an invoice's, and the invoice is missing"],
    ),
    "a run that nobody knows": (
        [f"update invoice set bill_run_id = {NOWHERE} where number = 7"],
        "references I12",
        ["invoice INV-7 (live): its bill run 00000000-0000-7000-8000-00000000dead is missing"],
    ),
    "accounts that can be deleted": (
        ["drop trigger account_stays_on_delete on account"],
        "references",
        ["trigger account_stays_on_delete: is missing or disabled, so rows of account"],
    ),
    "a grant of an account that is not there": (
        [
            "insert into entitlement_grant (account_id, id, subscriber, feature, source_kind, source_id, starts_at)"
            f" values ({NOWHERE}, {NOWHERE}, 'reader', 'news', 'gift', {NOWHERE}, now())",
        ],
        "references",
        ["grant 00000000-0000-7000-8000-00000000dead (live): its account 00000000-", " is missing"],
    ),
    "a grant by another account's subscription": (
        [
            "insert into entitlement_grant (account_id, id, subscriber, feature, source_kind, source_id, starts_at)"
            f" select a.id, {NOWHERE}, 'reader', 'news', 'subscription', s.id, now()"
            " from account a join subscription s on s.account_id <> a.id limit 1",
        ],
        "references",
        ["grant 00000000-0000-7000-8000-00000000dead (live): its subscription ", " is of account "],
    ),
}
