Console.Error.WriteLine("usage: budgets");
return 2;
